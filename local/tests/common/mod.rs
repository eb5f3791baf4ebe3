//! Stand-ins for function binaries: small Python programs that speak the Runtime API.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The client of the Runtime API that precedes each handler.
const RUNTIME: &str = r#"
import http.client, json, os, sys, time, urllib.parse
api = urllib.parse.urlsplit(os.environ["AWS_LAMBDA_RUNTIME_API"])
base = api.path + "/2018-06-01/runtime"
def call(method, path, body=None):
    connection = http.client.HTTPConnection(api.hostname, api.port)
    connection.request(method, base + path, body)
    answer = connection.getresponse()
    # An environment that has ended is refused: there is no event in that answer.
    if answer.status >= 400:
        sys.exit(1)
    return answer.headers, answer.read()
class Failure(Exception):
    pass
def run(handler):
    while True:
        headers, event = call("GET", "/invocation/next")
        id = headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            result = handler(json.loads(event), headers)
        except Failure as failure:
            error = {"errorType": failure.args[0], "errorMessage": failure.args[1]}
            call("POST", f"/invocation/{id}/error", json.dumps(error))
        else:
            call("POST", f"/invocation/{id}/response", json.dumps(result))
"#;

/// Writes an executable program with the Python handler `def handler(event, headers)`.
pub(crate) fn program(folder: &Path, name: &str, handler: &str) -> PathBuf {
    let python = std::process::Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .expect("these tests need python3");
    let python = String::from_utf8(python.stdout).unwrap();
    let path = folder.join(name);
    fs::write(
        &path,
        format!("#!{}\n{RUNTIME}\n{handler}\nrun(handler)\n", python.trim()),
    )
    .unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    path
}
