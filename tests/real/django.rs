//! Django behind `proxy`, as Debian packages it: under gunicorn (WSGI) and under uvicorn (ASGI, with a
//! WebSocket).

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::browser::Browser;
use crate::program::Program;
use crate::support::{Directory, Server, Site, ended_with, pattern};
use crate::websocket::WebSocket;

/// The project: its settings, its pages, and its two entrances.
const SETTINGS: &str = r#"
import os
BASE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SECRET_KEY = "of a test"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
ROOT_URLCONF = "tide.urls"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                  "django.contrib.sessions", "django.contrib.messages"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware",
              "django.contrib.sessions.middleware.SessionMiddleware",
              "django.middleware.common.CommonMiddleware",
              "django.middleware.csrf.CsrfViewMiddleware",
              "django.contrib.auth.middleware.AuthenticationMiddleware",
              "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
              "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                 "django.contrib.auth.context_processors.auth",
                                                 "django.contrib.messages.context_processors.messages"]}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(BASE, "db.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STATIC_URL = "/static/"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1 << 30
FILE_UPLOAD_TEMP_DIR = BASE
LANGUAGE_CODE = "en"
"#;

const URLS: &str = r#"
import hashlib
from django.contrib import admin
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import Context, Engine
from django.middleware.csrf import get_token
from django.urls import path

def form(request):
    if request.method == "POST":
        return HttpResponse("taken: " + request.POST["name"])
    return HttpResponse('<input name="csrfmiddlewaretoken" value="%s">' % get_token(request))

def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return JsonResponse({"name": file.name, "length": file.size, "digest": digest.hexdigest(),
                         "note": request.POST["note"]})
upload.csrf_exempt = True

def seen(request):
    return JsonResponse({"address": request.build_absolute_uri(), "path": request.path,
                         "query": request.GET.dict(), "for": request.META.get("HTTP_X_FORWARDED_FOR"),
                         "proto": request.META.get("HTTP_X_FORWARDED_PROTO")})

def large(request):
    return StreamingHttpResponse((b"x" * 65536 for _ in range(160)), content_type="text/plain")

urlpatterns = [path("admin/", admin.site.urls), path("form", form), path("upload", upload),
               path("seen/<path:rest>", lambda request, rest: seen(request)), path("large", large)]
"#;

const MANAGE: &str = r#"
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tide.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"#;

const WSGI: &str = r#"
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tide.settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"#;

/// Django answers HTTP; the WebSocket is answered by this function.
const ASGI: &str = r#"
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tide.settings")
from django.core.asgi import get_asgi_application
django = get_asgi_application()

async def application(scope, receive, send):
    if scope["type"] != "websocket":
        return await django(scope, receive, send)
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
"#;

/// Writes the project, makes its database, and adds its administrator.
fn project(directory: &Directory) {
    directory.write("tide/__init__.py", "");
    directory.write("tide/settings.py", SETTINGS);
    directory.write("tide/urls.py", URLS);
    directory.write("tide/wsgi.py", WSGI);
    directory.write("tide/asgi.py", ASGI);
    directory.write("manage.py", MANAGE);
    for arguments in [
        &["migrate", "--verbosity=0"][..],
        &[
            "createsuperuser",
            "--noinput",
            "--username=keeper",
            "--email=keeper@example.com",
        ],
    ] {
        let done = Command::new("/usr/bin/python3")
            .arg("manage.py")
            .args(arguments)
            .env("DJANGO_SUPERUSER_PASSWORD", "high-water-7")
            .current_dir(directory.path())
            .output()
            .expect("python3 is installed");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "manage.py {arguments:?}: {told}");
    }
}

/// The project under a server of applications: `program` with `arguments`, which listens at `app.sock`.
struct Django {
    site: Site,
    program: Program,
}

impl Django {
    /// One worker, which serves one request at a time and closes after each.
    fn under_gunicorn(routes: &str) -> Self {
        Self::under(
            routes,
            "/usr/bin/gunicorn",
            &["tide.wsgi", "--workers=2", "--bind"],
            "unix:",
        )
    }

    /// Threads, and connections that persist.
    fn under_gunicorn_with_threads(routes: &str) -> Self {
        let arguments = &[
            "tide.wsgi",
            "--worker-class=gthread",
            "--threads=4",
            "--keep-alive=1",
            "--bind",
        ];
        Self::under(routes, "/usr/bin/gunicorn", arguments, "unix:")
    }

    fn under_uvicorn(routes: &str) -> Self {
        Self::under(
            routes,
            "/usr/bin/uvicorn",
            &["tide.asgi:application", "--uds"],
            "",
        )
    }

    /// The last of `arguments` takes the path of the socket, behind `prefix`.
    fn under(routes: &str, program: &str, arguments: &[&str], prefix: &str) -> Self {
        let site = Site::new(routes).top("upstreams.django = { servers = ['unix:app.sock'] }");
        project(site.directory());
        let socket: PathBuf = site.directory().join("app.sock");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(format!("{prefix}{}", socket.display()))
            .current_dir(site.directory().path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let program = Program::at_socket(command, &socket);
        Self { site, program }
    }

    fn start(self) -> (Server, Program) {
        (self.site.start(), self.program)
    }
}

const ROUTES: &str = "'/' = { proxy = 'django' }";

/// The token in a form that Django made.
fn token(page: &str) -> String {
    let (_, rest) = page
        .split_once("csrfmiddlewaretoken\" value=\"")
        .expect("a form");
    rest.split('"').next().expect("a value").to_owned()
}

fn every_page_works(server: &Server) {
    let mut browser = Browser::of(server);
    // Its administrator logs in.
    let first = browser.get("/admin/");
    assert_eq!(
        (first.status, first.field("Location")),
        (302, Some("/admin/login/?next=/admin/"))
    );
    let login = browser.get("/admin/login/?next=/admin/");
    assert_eq!(login.status, 200);
    let credentials = |password: &str, page: &str| {
        let token = token(page);
        format!("csrfmiddlewaretoken={token}&username=keeper&password={password}&next=/admin/")
    };
    let wrong = browser.post("/admin/login/", &credentials("low-water", &login.text()));
    assert!(wrong.status == 200 && wrong.text().contains("errornote"));
    let right = browser.post("/admin/login/", &credentials("high-water-7", &wrong.text()));
    assert_eq!(
        (right.status, right.field("Location")),
        (302, Some("/admin/"))
    );
    assert!(browser.cookie("sessionid").is_some());
    let page = browser.get("/admin/auth/user/");
    assert!(
        page.status == 200 && page.text().contains("keeper@example.com"),
        "{}",
        page.text()
    );
    // A form, with its token and without.
    let form = browser.get("/form").text();
    let taken = browser.post(
        "/form",
        &format!("csrfmiddlewaretoken={}&name=High+Water", token(&form)),
    );
    assert_eq!(
        (taken.status, taken.text().as_str()),
        (200, "taken: High Water")
    );
    assert_eq!(browser.post("/form", "name=forged").status, 403);
    // A file.
    let file = pattern(0, 10 << 20);
    let start = "--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nspring tide\r\n\
        --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"tide.bin\"\r\n\r\n";
    let content = [start.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
    let uploaded = browser.ask(
        "POST",
        "/upload",
        Some(("multipart/form-data; boundary=b", &content)),
    );
    assert_eq!(uploaded.status, 200, "{}", uploaded.text());
    let uploaded = uploaded.json();
    assert_eq!(uploaded["length"], 10 << 20);
    assert_eq!(uploaded["note"], "spring tide");
    assert_eq!(uploaded["digest"], sha256(&file));
    // Django sees the address that the client used.
    let seen = browser.get("/seen/a%2Fb/%C3%BC?x=%2F&y=1").json();
    assert_eq!(
        seen["address"],
        format!("http://{}/seen/a/b/%C3%BC?x=%2F&y=1", server.address())
    );
    assert_eq!(
        (&seen["path"], &seen["query"]["x"]),
        (&"/seen/a/b/ü".into(), &"/".into())
    );
    assert_eq!(
        (&seen["for"], &seen["proto"]),
        (&"127.0.0.1".into(), &"http".into())
    );
    assert_eq!(browser.get("/large").content.len(), 160 * 65536);
    assert_eq!(browser.get("/none").status, 404);
}

/// The digest that `sha256sum` makes.
fn sha256(content: &[u8]) -> String {
    let directory = Directory::new();
    directory.write("content", content);
    let done = Command::new("sha256sum")
        .arg(directory.join("content"))
        .output();
    let told = String::from_utf8(done.expect("coreutils").stdout).expect("text");
    told[..64].to_owned()
}

#[test]
fn it_works_under_gunicorn() {
    let (server, _program) = Django::under_gunicorn(ROUTES).start();
    every_page_works(&server);
}

#[test]
fn it_works_under_gunicorn_with_threads() {
    let (server, _program) = Django::under_gunicorn_with_threads(ROUTES).start();
    every_page_works(&server);
}

#[test]
fn it_works_under_uvicorn() {
    let (server, _program) = Django::under_uvicorn(ROUTES).start();
    every_page_works(&server);
}

#[test]
fn a_web_socket_under_uvicorn_lives_through_reloads() {
    let (server, _program) = Django::under_uvicorn(ROUTES).start();
    let mut socket = WebSocket::open(&server, "/socket", "first");
    for number in 0..50 {
        let configuration = server.directory().read("config.toml");
        server.configure(format!("# {number}\n{configuration}"));
        ended_with(0, &server.command_line(&["reload"]));
        socket.echo(&format!("after reload {number}"));
    }
    for length in [0, 125, 126, 65535, 65536, 8 << 20] {
        socket.echo_binary(&vec![7; length]);
    }
    socket.close();
}

/// gunicorn's worker serves one request at a time: clients that send and read slowly do not take it.
#[test]
fn slow_clients_do_not_hold_its_workers() {
    let limits = "'/' = { proxy = 'django', limits = { max_content = '1 GiB' } }";
    let (server, _program) = Django::under_gunicorn(limits).start();
    let mut senders: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.connect();
            client
                .send("POST /form HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nname=");
            client
        })
        .collect();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let mut client = server.connect();
            client.send("GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            client
        })
        .collect();
    for _ in 0..20 {
        let mut client = server.connect();
        let seen = client.exchange("GET /seen/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert_eq!(seen.status, 200);
    }
    for mut reader in readers {
        assert_eq!(reader.response().content.len(), 160 * 65536);
    }
    for sender in &mut senders {
        sender.send("x".repeat(95));
        assert_eq!(sender.response().status, 403, "without its token");
    }
}
