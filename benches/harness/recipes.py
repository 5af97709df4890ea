"""How each server is configured: one worker unless asked, no access log unless asked, connections kept.

Beyond that, each is left at its defaults, or is given what its manual advises for static files:
nginx gets `sendfile` and `tcp_nopush`, and runs a second time without, which suits small files better
and large ones worse; but neither has `open_file_cache` (off by default: a file it keeps
open may be stale) nor `deferred`. Idle connections live for minutes everywhere, so that holding
10,000 of them can be measured.

As a proxy, each keeps its connections to the upstream and tells it the client's address. Those that
compress do it at their defaults, and nginx at the level that others have by default, 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from . import php, tls

#: Connections a server must be able to hold, with room to spare.
CONNECTIONS = 16_000

#: Seconds an idle connection may live.
IDLE_SECONDS = 300

#: Requests on one connection, for those who count them.
REQUESTS = 1_000_000_000

#: Of Apache's one child.
APACHE_THREADS = 600


@dataclass(frozen=True)
class Setting:
    """What a configuration depends on."""

    port: int
    root: Path
    #: For its own files.
    directory: Path
    #: Where the access log goes; none without.
    log: Path | None
    workers: int = 1
    #: Whether it has code behind routes: at /loop and /pool.
    has_handlers: bool = False
    #: Whether there is a PHP-FPM for the scripts below /php.
    has_php: bool = False
    #: The port of the server behind it, which then answers everything; none without.
    upstream: int | None = None
    #: Its certificate; without one it speaks plain HTTP.
    certificate: tls.Certificate | None = None
    #: Whether its files have an `allow`, a rate that refuses none, and `cors`.
    is_limited: bool = False
    #: Whether it compresses.
    is_compressing: bool = False
    #: Whether it tells what it counts, at /metrics, and its access log is JSON.
    is_observed: bool = False

    def write(self, name: str, text: str) -> str:
        """Writes a file of the configuration and returns its path."""
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@dataclass(frozen=True)
class Launch:
    """A command line; `environment` comes on top of this process's."""

    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def tidegate(program: str, setting: Setting, more: str = "") -> Launch:
    """This server; its limit of connections is 10,000 by default, which one workload reaches.

    `more` stands at the top of the file. With handlers, it is the program beside it that has them.
    """
    handlers = ""
    if setting.has_handlers:
        program = str(Path(program).with_name("handlers"))
        names = ("loop", "pool", "sleep", "flaky")
        handlers = "\n".join(f'"/{name}" = {{ handler = "{name}" }}' for name in names)
    scripts = ""
    if setting.has_php:
        peer = php.socket_path(setting.directory)
        scripts = f'"/php" = {{ fastcgi = "unix:{peer}", root = "{setting.root}/php" }}'
    log = f'"{setting.log}"' if setting.log else "false"
    metrics = ""
    if setting.is_observed:
        log += ', format = "json"'
        metrics = '"= /metrics" = { metrics = true }'
    secured = ""
    if files := setting.certificate:
        secured = f'tls = {{ certificate = "{files.certificate}", key = "{files.key}" }}'
    verb = f'files = "{setting.root}"'
    if setting.upstream:
        verb = f'proxy = "http://127.0.0.1:{setting.upstream}"'
    if setting.is_limited:
        verb += ', allow = ["10.0.0.0/8", "127.0.0.0/8"], rate = "clients", cors = { origins = "https://a.test" }'
        more += '\nrates.clients = { rate = "1000000/s", burst = 100000 }'
    if setting.is_compressing:
        verb += ", compress = true"
    config = setting.write("tidegate.toml", f"""
workers = {setting.workers}
{more}
log = {{ access = {log} }}
limits = {{ max_connections = {CONNECTIONS}, idle_timeout = "{IDLE_SECONDS}s" }}
[[server]]
listen = "127.0.0.1:{setting.port}"
{secured}
[server.routes]
"/" = {{ {verb} }}
"= /fixed" = {{ respond = "ok" }}
{metrics}
{handlers}
{scripts}
""")
    return Launch([program, "run", "--config", config])


def tidegate_routes(setting: Setting, routes: int, state: int) -> None:
    """Writes its configuration anew: with so many routes, of which one tells the state."""
    config = setting.directory / "tidegate.toml"
    lines = [line for line in config.read_text(encoding="utf-8").splitlines() if not line.startswith('"/route-')]
    lines += [f'"/route-{number}" = {{ redirect = "/elsewhere-{number}" }}' for number in range(routes - 1)]
    lines += [f'"/route-state" = {{ redirect = "/{state}" }}']
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")


def floor(program: str, setting: Setting) -> Launch:
    """The yardstick: has nothing to configure."""
    own = f"127.0.0.1:{setting.port}"
    if setting.upstream:
        return Launch([program, "proxy", own, f"127.0.0.1:{setting.upstream}"])
    return Launch([program, own])


def nginx(program: str, setting: Setting, sending: str = "sendfile on; tcp_nopush on;", buffers: str = "") -> Launch:
    """A master and its workers, with `sendfile` as distributions configure it."""
    own = setting.directory
    log = str(setting.log) if setting.log else "off"
    temporary = "".join(
        f"{kind}_temp_path {own}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    secured, certificate = ("", "")
    if files := setting.certificate:
        secured = "ssl"
        certificate = (
            f"ssl_certificate {files.certificate}; ssl_certificate_key {files.key};"
            " ssl_protocols TLSv1.2 TLSv1.3;"
        )
    scripts = _nginx_scripts(setting) if setting.has_php else ""
    upstream, passing = _nginx_upstream(setting, buffers) if setting.upstream else ("", "")
    compressing = "gzip on; gzip_comp_level 6;" if setting.is_compressing else ""
    config = setting.write("nginx.conf", f"""
daemon off;
worker_processes {setting.workers};
worker_rlimit_nofile {CONNECTIONS};
pid {own}/pid;
error_log stderr crit;
events {{ worker_connections {CONNECTIONS}; }}
http {{
    types {{ text/html html; }}
    default_type application/octet-stream;
    {sending}
    {compressing}
    keepalive_requests {REQUESTS};
    keepalive_timeout {IDLE_SECONDS};
    access_log {log};
    {temporary}
    {upstream}
    server {{
        listen 127.0.0.1:{setting.port} {secured} backlog=4096;
        {certificate}
        root {setting.root};
        location = /fixed {{ return 200 "ok"; }}
        {scripts}
        {passing}
    }}
}}
""")
    return Launch([program, "-e", "stderr", "-p", str(own), "-c", config])


def _nginx_scripts(setting: Setting) -> str:
    """What Debian passes on (`/etc/nginx/fastcgi_params`), and the file's name; all else by default."""
    passed = {
        "QUERY_STRING": "$query_string", "REQUEST_METHOD": "$request_method",
        "CONTENT_TYPE": "$content_type", "CONTENT_LENGTH": "$content_length",
        "SCRIPT_NAME": "$fastcgi_script_name", "REQUEST_URI": "$request_uri",
        "DOCUMENT_URI": "$document_uri", "DOCUMENT_ROOT": "$document_root",
        "SERVER_PROTOCOL": "$server_protocol", "REQUEST_SCHEME": "$scheme",
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "nginx/$nginx_version",
        "REMOTE_ADDR": "$remote_addr", "REMOTE_PORT": "$remote_port",
        "SERVER_ADDR": "$server_addr", "SERVER_PORT": "$server_port", "SERVER_NAME": "$server_name",
        "REDIRECT_STATUS": "200", "SCRIPT_FILENAME": "$document_root$fastcgi_script_name",
    }
    lines = "".join(f"fastcgi_param {name} {value};" for name, value in passed.items())
    return f"location /php/ {{ fastcgi_pass unix:{php.socket_path(setting.directory)}; {lines} }}"


def _nginx_upstream(setting: Setting, buffers: str) -> tuple[str, str]:
    """The upstream, whose connections are kept, and the location of everything. Handshakes pass too."""
    upstream = f"""
    map $http_upgrade $for_behind {{ default upgrade; "" ""; }}
    upstream behind {{ server 127.0.0.1:{setting.upstream}; keepalive 64; keepalive_requests {REQUESTS}; }}
    """
    location = f"""
        location / {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Connection $for_behind;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout {IDLE_SECONDS};
            {buffers}
        }}
    """
    return upstream, location


def nginx_buffers(program: str, setting: Setting) -> Launch:
    """As a proxy whose buffers hold a response of 100 KiB."""
    return nginx(program, setting, buffers="proxy_buffers 8 64k; proxy_busy_buffers_size 128k;")


def haproxy(program: str, setting: Setting) -> Launch:
    """One thread; any connection to the upstream may serve any client. It sets aside two descriptors for
    each client that it may have."""
    config = setting.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn {CONNECTIONS // 2}
defaults
    mode http
    timeout connect 5s
    timeout client {IDLE_SECONDS}s
    timeout server {IDLE_SECONDS}s
    timeout tunnel {IDLE_SECONDS}s
    http-reuse always
    option forwardfor
frontend front
    bind 127.0.0.1:{setting.port}
    default_backend behind
backend behind
    server behind 127.0.0.1:{setting.upstream} pool-max-conn 100
""")
    return Launch([program, "-f", config])


def nginx_copying(program: str, setting: Setting) -> Launch:
    """As it is without configuration: files are read and written, which is cheaper for small ones."""
    return nginx(program, setting, sending="sendfile off;")


def lighttpd(program: str, setting: Setting) -> Launch:
    """One process; 65,535 requests on a connection is the most it can be told."""
    log = f'server.modules += ("mod_accesslog")\naccesslog.filename = "{setting.log}"' if setting.log else ""
    config = setting.write("lighttpd.conf", f"""
server.document-root = "{setting.root}"
server.bind = "127.0.0.1"
server.port = {setting.port}
server.max-fds = {CONNECTIONS}
server.max-connections = {CONNECTIONS - 1000}
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = {IDLE_SECONDS}
server.listen-backlog = 4096
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html", "" => "application/octet-stream")
{log}
""")
    return Launch([program, "-D", "-f", config])


def h2o(program: str, setting: Setting) -> Launch:
    """One thread."""
    log = f'access-log: "{setting.log}"' if setting.log else ""
    verb = f'file.dir: "{setting.root}"'
    if setting.upstream:
        verb = f"""proxy.reverse.url: "http://127.0.0.1:{setting.upstream}/"
        proxy.preserve-host: ON
        proxy.websocket: ON
        proxy.websocket.timeout: {IDLE_SECONDS}000"""
    config = setting.write("h2o.yaml", f"""
num-threads: 1
max-connections: {CONNECTIONS}
http1-request-timeout: {IDLE_SECONDS}
listen:
  host: 127.0.0.1
  port: {setting.port}
hosts:
  default:
    paths:
      "/":
        {verb}
{log}
""")
    return Launch([program, "-c", config])


def caddy(program: str, setting: Setting) -> Launch:
    """Go's scheduler is held to one thread at a time; what it would keep for itself is in the scratch."""
    log = f"log {{\n output file {setting.log}\n }}" if setting.log else ""
    verb = f"reverse_proxy 127.0.0.1:{setting.upstream}" if setting.upstream else "file_server"
    encoding = "encode zstd gzip" if setting.is_compressing else ""
    config = setting.write("Caddyfile", f"""
{{
    admin off
    auto_https off
}}
http://:{setting.port} {{
    bind 127.0.0.1
    root * {setting.root}
    respond /fixed "ok"
    {encoding}
    {verb}
    {log}
}}
""")
    environment = {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(setting.directory),
                   "XDG_CONFIG_HOME": str(setting.directory)}
    return Launch([program, "run", "--adapter", "caddyfile", "--config", config], environment)


def apache(program: str, setting: Setting) -> Launch:
    """The event MPM with one child; modules are where Debian puts them, or built in.

    It has more threads than the load has connections: when all of them are busy, it closes connections
    that were to persist.
    """
    names = ("mpm_event", "unixd", "authz_core", "mime", "dir")
    names += ("log_config",) if setting.log else ()
    names += ("proxy", "proxy_http", "proxy_wstunnel") if setting.upstream else ()
    passing = f"""
ProxyPass "/" "http://127.0.0.1:{setting.upstream}/" keepalive=On upgrade=websocket
ProxyPreserveHost On
""" if setting.upstream else ""
    modules = "".join(
        f"<IfModule !{name}_module>\n"
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        "</IfModule>\n"
        for name in names
    )
    log = f'CustomLog "{setting.log}" "%h %l %u %t \\"%r\\" %>s %b"' if setting.log else ""
    config = setting.write("apache.conf", f"""
{modules}
ServerRoot "{setting.directory}"
ServerName 127.0.0.1
Listen 127.0.0.1:{setting.port}
ListenBackLog 4096
PidFile "{setting.directory}/pid"
DefaultRuntimeDir "{setting.directory}"
ErrorLog "{setting.directory}/error.log"
User nobody
Group nogroup
StartServers 1
ServerLimit 1
ThreadLimit {APACHE_THREADS}
ThreadsPerChild {APACHE_THREADS}
MaxRequestWorkers {APACHE_THREADS}
AsyncRequestWorkerFactor {CONNECTIONS // APACHE_THREADS}
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout {IDLE_SECONDS}
EnableSendfile On
TypesConfig /etc/mime.types
DocumentRoot "{setting.root}"
<Directory "{setting.root}">
    AllowOverride None
    Require all granted
</Directory>
{log}
{passing}
""")
    return Launch([program, "-f", config, "-DFOREGROUND"])


def static_web_server(program: str, setting: Setting) -> Launch:
    """One thread for each core it may use, which is one; what other servers leave out is off.

    Its last answer on a connection does not say so, and wrk counts each as an error.
    """
    return Launch([
        program, "--host", "127.0.0.1", "--port", str(setting.port), "--root", str(setting.root),
        "--threads-multiplier", "1", "--log-level", "error", "--compression", "false",
        "--cache-control-headers", "false", "--directory-listing", "false",
    ])
