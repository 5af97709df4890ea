//! The list of reasons: the only place where one is named.
//!
//! ```text
//! Variant "id" STATUS "type of RFC 9209"    `-` where the status varies, or there is no type
//!     "What has happened."
//!     "What the operator can do."
//! ```
//!
//! An id is for ever: logs, alerts and dashboards name it.

use crate::http::status::Status;

/// What the list tells of one reason.
pub(super) struct Entry {
    pub(super) reason: Reason,
    pub(super) id: &'static str,
    /// The status of the response, where it is always the same.
    pub(super) status: Option<Status>,
    /// The type of the error in `Proxy-Status` (RFC 9209 §2.3).
    pub(super) proxy_error: Option<&'static str>,
    /// What has happened: a sentence.
    pub(super) meaning: &'static str,
    /// What the operator can do: a sentence.
    pub(super) remedy: &'static str,
}

/// Reasons that belong together.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) entries: &'static [Entry],
}

impl Reason {
    /// Its name in the log and everywhere else.
    pub(crate) fn id(self) -> &'static str {
        IDS[self as usize]
    }

    /// The status of the response, where it is always the same.
    #[inline]
    pub(crate) fn status(self) -> Option<Status> {
        STATUSES[self as usize]
    }

    /// The type of the error in `Proxy-Status` (RFC 9209 §2.3), where there is one.
    pub(crate) fn proxy_error(self) -> Option<&'static str> {
        PROXY_ERRORS[self as usize]
    }

    /// What has happened, as a sentence.
    pub(crate) fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    fn entry(self) -> &'static Entry {
        let mut entries = GROUPS.iter().flat_map(|group| group.entries);
        let found = entries.find(|entry| entry.reason == self);
        found.expect("the table has every reason")
    }
}

/// Reads the list: the enum, and its tables by place.
macro_rules! reasons {
    ($($title:literal {
        $($name:ident $id:literal $status:tt $proxy:tt $meaning:literal $remedy:literal)*
    })*) => {
        /// Why a response is the server's own, or why an exchange ended badly.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub(crate) enum Reason {
            $($(#[doc = $meaning] $name,)*)*
        }

        impl Reason {
            /// Every reason, each at the place of its number.
            pub(crate) const ALL: &[Self] = &[$($(Self::$name,)*)*];

            /// How many there are.
            pub(crate) const COUNT: usize = Self::ALL.len();
        }

        pub(super) static IDS: [&str; Reason::COUNT] = [$($($id,)*)*];
        pub(super) static STATUSES: [Option<Status>; Reason::COUNT] =
            [$($(reasons!(@status $status),)*)*];
        pub(super) static PROXY_ERRORS: [Option<&str>; Reason::COUNT] =
            [$($(reasons!(@proxy $proxy),)*)*];

        pub(super) static GROUPS: &[Group] = &[$(Group {
            title: $title,
            entries: &[$(Entry {
                reason: Reason::$name,
                id: $id,
                status: reasons!(@status $status),
                proxy_error: reasons!(@proxy $proxy),
                meaning: $meaning,
                remedy: $remedy,
            },)*],
        },)*];
    };
    (@status -) => { None };
    (@status $status:ident) => { Some(Status::$status) };
    (@proxy -) => { None };
    (@proxy $proxy:literal) => { Some($proxy) };
}

reasons! {
    "Requests that cannot be read" {
        RequestMalformed "request_malformed" BAD_REQUEST "http_request_error"
            "The request line or a field line is no valid HTTP."
            "Look for a client that is broken, or that speaks another protocol to this port."
        TargetInvalid "target_invalid" BAD_REQUEST "http_request_error"
            "The request-target has none of the forms of HTTP."
            "Look at the target in the log: a client has to percent-encode what it puts there."
        HostMissing "host_missing" BAD_REQUEST "http_request_error"
            "A request of HTTP/1.1 has no Host field."
            "Mend the client: HTTP/1.1 asks for the field."
        HostInvalid "host_invalid" BAD_REQUEST "http_request_error"
            "The Host field is repeated, or is no host."
            "Mend the client, or the proxy before this server that adds a second Host."
        ContentLengthInvalid "content_length_invalid" BAD_REQUEST "http_request_error"
            "Content-Length is not one number."
            "Mend the client: such requests are how requests are smuggled past a proxy."
        TransferCodingInvalid "transfer_coding_invalid" BAD_REQUEST "http_request_error"
            "Transfer-Encoding does not end in one chunked coding."
            "Mend the client: where the content ends cannot be known."
        FramingAmbiguous "framing_ambiguous" BAD_REQUEST "http_request_error"
            "Content-Length stands beside Transfer-Encoding, or HTTP/1.0 has a Transfer-Encoding."
            "Mend the client: such requests are how requests are smuggled past a proxy."
        TransferCodingUnknown "transfer_coding_unknown" NOT_IMPLEMENTED "http_request_error"
            "A transfer coding stands before chunked."
            "Have the client compress with Content-Encoding instead."
        MethodUnknown "method_unknown" NOT_IMPLEMENTED "http_request_error"
            "The method is none that this server knows."
            "Nothing, if it is a scanner; otherwise have the client use a method that docs/configuration.md lists."
        ExpectationUnknown "expectation_unknown" EXPECTATION_FAILED "http_request_error"
            "The Expect field asks for something else than 100-continue."
            "Mend the client."
        VersionUnsupported "version_unsupported" HTTP_VERSION_NOT_SUPPORTED "http_request_error"
            "The major version of HTTP is not 1."
            "Have the client speak HTTP/1.1; HTTP/2 is not spoken here."
        TargetTooLong "target_too_long" URI_TOO_LONG "http_request_error"
            "The request line is longer than max_head."
            "Raise max_head if the target is an honest one."
        HeadTooLarge "head_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE "http_request_error"
            "The header section is longer than max_head, or has more lines than max_fields."
            "Look for cookies that have grown; raise max_head or max_fields."
        HeadTimeout "head_timeout" REQUEST_TIMEOUT "http_request_error"
            "The head of the request did not come within head_timeout."
            "Nothing, if it is seldom: the client or its network is slow, or it is an attack."
        PathInvalid "path_invalid" BAD_REQUEST "http_request_error"
            "The path leads above the root, holds octets that no path may have, or is, with its encoded slashes decoded, for a route that lets others in."
            "Nothing, if it is a scanner; otherwise mend the link."
        PlainHttp "plain_http" BAD_REQUEST "http_request_error"
            "The client speaks plain HTTP at a port where TLS is spoken."
            "Use https:// in the link; http_redirect makes a listener that sends clients there."
    }
    "Content of requests" {
        ContentMalformed "content_malformed" BAD_REQUEST "http_request_error"
            "The chunks of the request's content are malformed."
            "Mend the client, or the proxy before this server."
        ContentCodingUnknown "content_coding_unknown" UNSUPPORTED_MEDIA_TYPE "http_request_error"
            "The content is in a coding, or in several, that decompress does not decode."
            "Have the client send it as it is, or in gzip, br or zstd."
        ContentNotInCoding "content_not_in_coding" BAD_REQUEST "http_request_error"
            "The content is not in the coding that Content-Encoding says, or its end is missing."
            "Mend the client."
        ContentTooLarge "content_too_large" CONTENT_TOO_LARGE "http_request_denied"
            "The content is larger than max_content."
            "Raise max_content of the route, if such content is to be taken."
        ContentTimeout "content_timeout" REQUEST_TIMEOUT "http_request_error"
            "The content did not go on within body_timeout."
            "Raise body_timeout, if clients on slow networks are to be served."
        ContentQueueFull "content_queue_full" SERVICE_UNAVAILABLE "proxy_internal_error"
            "Content has to be kept on the disk, and the queue before its threads is full, or none could be started."
            "The diagnostic says which: look why the disk of TMPDIR is slow, or raise the limit of threads (TasksMax)."
        ContentNotKept "content_not_kept" INTERNAL_SERVER_ERROR "proxy_internal_error"
            "Content could not be kept in a temporary file."
            "Make room on the disk of TMPDIR; the diagnostic says what the system said."
    }
    "Finding who answers" {
        HostUnknown "host_unknown" MISDIRECTED_REQUEST "destination_not_found"
            "No server at this listener answers for the host."
            "Add the host to a server, or leave hosts out of one, which then answers for any host."
        OtherConnection "other_connection" MISDIRECTED_REQUEST "destination_not_found"
            "The server for the host asks for TLS, for the PROXY protocol, or for another certificate of the client."
            "Nothing: the connection ends, and a client opens another one. Otherwise look at `client` in tls."
        NoRoute "no_route" NOT_FOUND "destination_not_found"
            "No route of the server matches the path."
            "Ask `tidegate explain` which routes there are; add one, or mend the link."
        MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "http_request_denied"
            "There is a route for the path, but none for the method."
            "Ask `tidegate explain`; add a route for the method, or mend the client."
        RedirectWithoutHost "redirect_without_host" BAD_REQUEST "http_request_error"
            "A redirect leads to {host}, and the request of HTTP/1.0 names none."
            "Write the host into the target of the redirect, or leave it."
        WhenUnmet "when_unmet" NOT_FOUND "destination_not_found"
            "Routes match the path, and the request meets the `when` of none of them."
            "Ask `tidegate explain` which condition does not hold; a route without `when` takes the rest."
        RewriteWithoutPath "rewrite_without_path" BAD_REQUEST "http_request_error"
            "What `rewrite` makes of the request is no path: a value is a dot segment, or there is no host."
            "Nothing, if it is a scanner; otherwise look at `rewrite` of the route."
        Configured "configured" - "proxy_internal_response"
            "The route answers with this status: it is what respond says."
            "Change the status of the route, if it is not what is meant."
        NotReady "not_ready" SERVICE_UNAVAILABLE "proxy_internal_response"
            "The server starts or stops, or an upstream that `ready` names has no server left; the response says which."
            "Nothing, while the server starts or stops; otherwise look at the upstream with `tidegate status`."
        NotLive "not_live" SERVICE_UNAVAILABLE "proxy_internal_response"
            "Event loops did not answer `live` in time; the response says how many."
            "Look at `tidegate status` for what holds them; an orchestrator starts the process anew."
    }
    "Who is let in" {
        AccessDenied "access_denied" FORBIDDEN "http_request_denied"
            "allow or deny keeps the client out."
            "Ask `tidegate explain --client ADDRESS` which rule it is."
        CertificateMissing "certificate_missing" FORBIDDEN "http_request_denied"
            "The route asks for a certificate of the client, and the client has shown none."
            "Have the client install one that client_ca has issued."
        PasswordMissing "password_missing" UNAUTHORIZED "http_request_denied"
            "auth asks for a password, and the request carries none, or one that is not well-formed."
            "Nothing: a browser asks its user then. Programs have to send Authorization."
        PasswordWrong "password_wrong" UNAUTHORIZED "http_request_denied"
            "There is no such user in the file of auth, or the password is another one."
            "Make the user's line anew with `tidegate hash-password`, if the password is lost."
        PasswordsBusy "passwords_busy" SERVICE_UNAVAILABLE "proxy_internal_error"
            "As many passwords wait to be verified as may wait."
            "Put a rate beside auth: most often passwords are being guessed."
        RateLimited "rate_limited" TOO_MANY_REQUESTS "http_request_denied"
            "The client sends more requests than a rate of the route or server lets it send."
            "Ask `tidegate explain` which rate it is; change it in [rates.NAME], if it is too low."
        TooManyConnections "too_many_connections" SERVICE_UNAVAILABLE "connection_limit_reached"
            "As many connections are open as max_connections allows."
            "Raise max_connections, and the limit of open files with it."
        TooManyOfClient "too_many_of_client" TOO_MANY_REQUESTS "connection_limit_reached"
            "The client has as many connections open as connections_per_client allows."
            "Raise connections_per_client, or name the proxy in front in trusted_proxies."
    }
    "Files" {
        FileMissing "file_missing" NOT_FOUND "destination_not_found"
            "There is no such file."
            "Ask `tidegate explain` which file was looked for."
        DirectoryWithoutIndex "directory_without_index" NOT_FOUND "destination_not_found"
            "The directory has no index, and listing is off."
            "Add an index.html, or listing = true to the route."
        FilePermission "file_permission" FORBIDDEN "http_request_denied"
            "The system does not let the server read the file."
            "Ask `tidegate explain`: it says which directory or file, and for whom to open it."
        FileUnreadable "file_unreadable" INTERNAL_SERVER_ERROR "proxy_internal_error"
            "Reading the file or directory failed; a response that had begun was cut."
            "The diagnostic says what the system said: most often the disk."
        FileShrank "file_shrank" - "http_response_incomplete"
            "A file became shorter while it was sent, and the connection was cut."
            "Replace files by renaming new ones over them, instead of writing into them."
        ListingNoRoom "listing_no_room" SERVICE_UNAVAILABLE "proxy_internal_error"
            "Other listings take all the room that there is for them."
            "Nothing, if it is seldom; directories with very many entries need less traffic."
        ArchivesBusy "archives_busy" SERVICE_UNAVAILABLE "proxy_internal_error"
            "As many archives of directories are being sent as may be at once."
            "Nothing, if it is seldom; otherwise put a rate on the route, or turn archive off."
        PreconditionFailed "precondition_failed" PRECONDITION_FAILED "proxy_internal_response"
            "If-Match or If-Unmodified-Since does not hold."
            "Nothing: the client asked for that, because the representation has changed."
        RangeUnsatisfiable "range_unsatisfiable" RANGE_NOT_SATISFIABLE "proxy_internal_response"
            "Every range lies behind the end of the content."
            "Nothing: the client asked for more than there is."
    }
    "What this machine lacks" {
        ThreadsBusy "threads_busy" SERVICE_UNAVAILABLE "proxy_internal_error"
            "Every thread of the pool is busy and its queue is full, or no thread could be started."
            "Look what the threads wait for: for files and scripts the disk; for handlers, raise threads or queue in [blocking]."
        TooManyViewers "too_many_viewers" SERVICE_UNAVAILABLE "proxy_internal_error"
            "As many clients look at the live page, or at `tidegate top`, as may at once: 64, of which 16 places are for the control socket alone."
            "Close pages that are not looked at; `allow` and `auth` say who may open one."
        SystemShortage "system_shortage" SERVICE_UNAVAILABLE "proxy_internal_error"
            "The process or the system has no descriptor, no memory or no process left."
            "The diagnostic says which: raise the limit (LimitNOFILE, MemoryMax, TasksMax), or lower max_connections."
        Stopped "stopped" - "proxy_internal_error"
            "The exchange was under way when the server or its tunnel had to end."
            "Raise grace (tunnel_grace), if exchanges are to be given longer."
        ConnectionPanicked "connection_panicked" - "proxy_internal_error"
            "This server has a fault: the task of the connection panicked."
            "Report it, with the diagnostic."
    }
    "Scripts" {
        ScriptMissing "script_missing" NOT_FOUND "destination_not_found"
            "There is no such script."
            "Ask `tidegate explain` which script was looked for."
        ScriptPermission "script_permission" FORBIDDEN "http_request_denied"
            "The system, or a link that leads outside, keeps the server from the script."
            "The diagnostic names what stands in the way."
        ScriptUnreadable "script_unreadable" - "proxy_internal_error"
            "Looking for the script failed."
            "The diagnostic says what the system said: most often the disk."
        ScriptsBusy "scripts_busy" SERVICE_UNAVAILABLE "connection_limit_reached"
            "As many processes of scripts run as max_processes allows."
            "Raise max_processes, or make the scripts faster."
        ScriptNotStarted "script_not_started" BAD_GATEWAY "proxy_configuration_error"
            "The script could not be started."
            "Look at its first line, its permissions and the diagnostic."
        ScriptOutput "script_output" BAD_GATEWAY "http_protocol_error"
            "The script wrote what is no header section, or could not be read from."
            "Mend the script: the diagnostic says what is wrong with its output."
        ScriptEnded "script_ended" BAD_GATEWAY "connection_terminated"
            "The script ended before its header section did."
            "Look at what the script wrote to its standard error, which is in the diagnostics."
        ScriptTimeout "script_timeout" GATEWAY_TIMEOUT "http_response_timeout"
            "The header section of the script did not come within timeout."
            "Make the script faster, or raise timeout of the route."
        LocalRedirectFailed "local_redirect_failed" BAD_GATEWAY "http_protocol_error"
            "The Location of a script is no path of this server, or leads in a circle."
            "Mend the script."
    }
    "Handlers in Rust" {
        HandlerError "handler_error" - "proxy_internal_error"
            "The handler returned an error, which has the status of the response."
            "A status of 500 and above is in the diagnostics, with its cause."
        HandlerPanicked "handler_panicked" INTERNAL_SERVER_ERROR "proxy_internal_error"
            "The handler panicked."
            "Mend the handler: the diagnostic has the message and the place."
        HandlerAnswerInvalid "handler_answer_invalid" INTERNAL_SERVER_ERROR "proxy_internal_error"
            "The handler gave a response that cannot be sent, or dropped its reply."
            "Mend the handler: the diagnostic says what is wrong."
        HandlerTimeout "handler_timeout" GATEWAY_TIMEOUT "http_response_timeout"
            "The handler did not answer within timeout."
            "Make the handler faster, or raise timeout of the route."
    }
    "Upstreams" {
        UpstreamConnectRefused "upstream_connect_refused" BAD_GATEWAY "connection_refused"
            "The server of the upstream refuses connections."
            "Start the program that is to listen there, or mend the address."
        UpstreamConnectFailed "upstream_connect_failed" BAD_GATEWAY "destination_unavailable"
            "No connection to the server of the upstream could be made."
            "The diagnostic says what the system said: the network, or a socket's permissions."
        UpstreamConnectTimeout "upstream_connect_timeout" GATEWAY_TIMEOUT "connection_timeout"
            "The server of the upstream did not take the connection in time."
            "Look whether the machine is up, and whether a firewall drops what is sent to it."
        UpstreamNoDescriptor "upstream_no_descriptor" SERVICE_UNAVAILABLE "proxy_internal_error"
            "This process or the system has no descriptor or no memory left for a connection."
            "The diagnostic says which: raise the limit (LimitNOFILE, MemoryMax, fs.epoll.max_user_watches)."
        UpstreamClosedEarly "upstream_closed_early" BAD_GATEWAY "connection_terminated"
            "The server of the upstream closed the connection before its response."
            "Look at its log: most often it has crashed, or was restarted."
        UpstreamBroken "upstream_broken" BAD_GATEWAY "connection_terminated"
            "The connection to the server of the upstream broke."
            "Look at its log: most often it has crashed, or was restarted."
        UpstreamTimeout "upstream_timeout" GATEWAY_TIMEOUT "connection_read_timeout"
            "The server of the upstream did not respond within the timeout."
            "Look what it is busy with; raise timeout of the route."
        UpstreamResponseInvalid "upstream_response_invalid" BAD_GATEWAY "http_protocol_error"
            "The server of the upstream sent what is no response."
            "Look whether it speaks the protocol that the route asks for."
        UpstreamHeadTooLarge "upstream_head_too_large" BAD_GATEWAY
            "http_response_header_section_size"
            "The head of the response is larger than is taken from an upstream."
            "Have the application send fewer or shorter fields: most often cookies."
        UpstreamChunksInvalid "upstream_chunks_invalid" BAD_GATEWAY "http_response_transfer_coding"
            "The chunks of the upstream's response are malformed."
            "Mend the application."
        UpstreamIncomplete "upstream_incomplete" - "http_response_incomplete"
            "The upstream's response broke off before its end."
            "Look at its log: most often it has crashed, or was restarted."
        UpstreamUpgradeFailed "upstream_upgrade_failed" BAD_GATEWAY "http_upgrade_failed"
            "The server of the upstream changed to another protocol when it must not."
            "Mend the application."
        UpstreamCertificate "upstream_certificate" BAD_GATEWAY "tls_certificate_error"
            "The certificate of the upstream's server is not accepted."
            "The diagnostic says why: look at ca and server_name in tls of the upstream."
        UpstreamTlsAlert "upstream_tls_alert" BAD_GATEWAY "tls_alert_received"
            "The server of the upstream broke off the handshake of TLS."
            "The diagnostic says why: most often it wants a certificate of this server."
        UpstreamTlsProtocol "upstream_tls_protocol" BAD_GATEWAY "tls_protocol_error"
            "The handshake of TLS with the upstream's server failed."
            "Look whether TLS is spoken at that port at all."
        UpstreamUnknown "upstream_unknown" BAD_GATEWAY "dns_error"
            "None of the upstream's names leads to an address."
            "Mend the name, or the DNS."
        UpstreamNotReady "upstream_not_ready" SERVICE_UNAVAILABLE "destination_unavailable"
            "None of the app's processes is ready."
            "Look at the output of the app in the diagnostics."
        UpstreamAllFailed "upstream_all_failed" SERVICE_UNAVAILABLE "destination_unavailable"
            "Every server of the upstream has failed, is unhealthy, or was drained."
            "`tidegate status` tells the state of each; look at their logs."
        UpstreamBusy "upstream_busy" SERVICE_UNAVAILABLE "connection_limit_reached"
            "Every server of the upstream has as many requests as max_connections lets it have."
            "Add a server, raise max_connections, or let requests wait with queue."
        UpstreamQueueFull "upstream_queue_full" SERVICE_UNAVAILABLE "connection_limit_reached"
            "As many requests wait for a server of the upstream as queue lets wait."
            "Add a server; a longer queue helps only against short bursts."
        UpstreamQueueTimeout "upstream_queue_timeout" SERVICE_UNAVAILABLE "connection_limit_reached"
            "No server of the upstream had room for as long as queue lets a request wait."
            "Add a server, or make the application faster."
        UpstreamOverloaded "upstream_overloaded" SERVICE_UNAVAILABLE "connection_limit_reached"
            "The application server says that it is overloaded."
            "Give it more processes."
        UpstreamRefused "upstream_refused" BAD_GATEWAY "http_protocol_error"
            "The application server refuses requests of this kind."
            "Look whether it is a FastCGI responder."
        UpstreamFile "upstream_file" BAD_GATEWAY "proxy_configuration_error"
            "The response names a file to be sent (X-Sendfile), which cannot be sent."
            "The diagnostic says why: look at sendfile of the route and at the file's permissions."
        ProxyLoop "proxy_loop" LOOP_DETECTED "proxy_loop_detected"
            "The request has come through this server already: it goes in a circle."
            "Mend the address of the upstream, which leads back here."
    }
    "Responses that were not sent to their end" {
        ClientGone "client_gone" - "connection_terminated"
            "The client closed the connection before the end of the exchange."
            "Nothing, if it is seldom. Many at one route: it may be slow, so that clients give up."
        SendTimeout "send_timeout" - "connection_write_timeout"
            "The client took nothing for as long as send_timeout."
            "Raise send_timeout, if clients that pause for longer are to be served."
        ContentBrokeOff "content_broke_off" - "http_response_incomplete"
            "The script or handler failed while its content was sent, and the connection was cut."
            "The diagnostic has its cause."
        ContentTooShort "content_too_short" - "http_response_incomplete"
            "The content was shorter than its Content-Length says, and the connection was cut."
            "Mend the script or handler."
    }
}
