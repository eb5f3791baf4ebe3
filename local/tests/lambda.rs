//! Drives the Lambda emulator over HTTP as Step Functions does, with processes that speak the Runtime API.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Response};
use landfall_local::{
    aws::Http,
    children::Guard,
    edge::{
        Edge,
        lambda::{Fault, FunctionConfig, Lambda, Settings},
    },
};
use serde_json::{Value, json};

struct Fixture {
    edge: Edge,
    http: Http,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guard = Guard::start().unwrap();
        let edge = Edge::start(0, |endpoint| {
            Lambda::new(Settings {
                endpoint,
                region: "eu-central-1".to_owned(),
                account: "111122223333".to_owned(),
                logs: folder.path().to_owned(),
                guard,
            })
        })
        .await
        .unwrap();
        let http = Http::new(edge.address());
        Self { edge, http, folder }
    }

    fn lambda(&self) -> &Arc<Lambda> {
        self.edge.lambda()
    }

    fn config(&self, name: &str, handler: &str) -> FunctionConfig {
        FunctionConfig::new(name, common::program(self.folder.path(), name, handler))
    }

    fn create(&self, name: &str, handler: &str) {
        self.lambda().create(self.config(name, handler)).unwrap();
    }

    async fn post(&self, function: &str, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let response = self
            .http
            .send(Method::POST, &path, headers, Bytes::from(body.to_owned()))
            .await
            .unwrap();
        assert!(response.headers().contains_key("x-amzn-requestid"), "{response:?}");
        response
    }

    async fn invoke(&self, function: &str, event: Value) -> (Option<String>, Value) {
        let response = self.post(function, &[], &event.to_string()).await;
        assert_eq!(response.status(), 200, "{response:?}");
        let error = response.headers().get("x-amz-function-error");
        let error = error.map(|value| value.to_str().unwrap().to_owned());
        (error, serde_json::from_slice(response.body()).unwrap())
    }

    async fn error(&self, function: &str) -> Value {
        let (error, body) = self.invoke(function, json!({})).await;
        assert_eq!(error.as_deref(), Some("Unhandled"), "{body}");
        body
    }
}

const ECHO: &str = "
def handler(event, headers):
    print('a line of the log', flush=True)
    return {'event': event, 'pid': os.getpid(), 'environment': dict(os.environ), 'headers': dict(headers)}";

#[tokio::test]
async fn a_function_gets_the_environment_and_headers_of_lambda() {
    let fixture = Fixture::new().await;
    let mut config = fixture.config("echo", ECHO);
    config.variables.insert("LANDFALL_X".to_owned(), "1".to_owned());
    config.timeout = Duration::from_secs(7);
    fixture.lambda().create(config).unwrap();
    let (error, answer) = fixture.invoke("echo", json!({"é": [1, null]})).await;
    assert_eq!(error, None);
    assert_eq!(answer["event"], json!({"é": [1, null]}));

    let environment = answer["environment"].as_object().unwrap();
    let expected = [
        ("LANDFALL_X", "1".to_owned()),
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ENDPOINT_URL", fixture.edge.url()),
        ("AWS_LAMBDA_FUNCTION_NAME", "echo".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    for (name, value) in expected {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(
        !environment.contains_key("HOME") && !environment.contains_key("CARGO"),
        "{environment:?}"
    );

    let headers = &answer["headers"];
    assert_eq!(
        headers["lambda-runtime-invoked-function-arn"],
        "arn:aws:lambda:eu-central-1:111122223333:function:echo"
    );
    assert!(
        headers["lambda-runtime-trace-id"]
            .as_str()
            .unwrap()
            .starts_with("Root=1-")
    );
    let deadline: i64 = headers["lambda-runtime-deadline-ms"].as_str().unwrap().parse().unwrap();
    let left = deadline - chrono::Utc::now().timestamp_millis();
    assert!((1..=7000).contains(&left), "{left}");

    let (_, second) = fixture.invoke("echo", json!(2)).await;
    assert_eq!(second["pid"], answer["pid"], "an idle environment must be reused");
    assert_eq!(fixture.lambda().invocations("echo"), 2);
    fixture.lambda().shutdown().await;
    let log = std::fs::read_to_string(fixture.lambda().log_path("echo")).unwrap();
    assert_eq!(log, "a line of the log\na line of the log\n");
}

#[tokio::test]
async fn concurrent_invocations_have_environments_of_their_own() {
    let fixture = Fixture::new().await;
    // Each invocation waits for the others. If they ran one after the other, the first would time out.
    let met = fixture.folder.path().join("met");
    std::fs::create_dir(&met).unwrap();
    let handler = "
def handler(event, headers):
    open(f'MET/{event}', 'w').close()
    while len(os.listdir('MET')) < 3:
        time.sleep(0.02)
    return [event, os.getpid()]";
    fixture.create("meets", &handler.replace("MET", &met.display().to_string()));
    let answers = futures::future::join_all((0..3).map(|i| fixture.invoke("meets", json!(i)))).await;
    let mut pids: Vec<_> = answers.iter().map(|(_, answer)| answer[1].as_u64().unwrap()).collect();
    for (i, (_, answer)) in answers.iter().enumerate() {
        assert_eq!(answer[0], i);
    }
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 3);
    let (_, after) = fixture.invoke("meets", json!(9)).await;
    assert!(pids.contains(&after[1].as_u64().unwrap()));
}

#[tokio::test]
async fn errors_exits_and_timeouts_are_reported_as_lambda_does() {
    let fixture = Fixture::new().await;
    fixture.create(
        "refuses",
        "def handler(event, headers):\n    raise Failure('Landfall.Busy', 'wait')",
    );
    assert_eq!(
        fixture.error("refuses").await,
        json!({"errorType": "Landfall.Busy", "errorMessage": "wait"})
    );

    fixture.create("exits", "def handler(event, headers):\n    os._exit(3)");
    let error = fixture.error("exits").await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with(" Error: Runtime exited with error: exit status 3"),
        "{message}"
    );
    assert!(message.starts_with("RequestId: "), "{message}");

    fixture.create("dies", "def handler(event, headers):\n    os.kill(os.getpid(), 9)");
    let error = fixture.error("dies").await;
    assert!(
        error["errorMessage"].as_str().unwrap().ends_with("signal: killed"),
        "{error}"
    );

    fixture.create("never-begins", "sys.exit(1)\nhandler = None");
    assert_eq!(fixture.error("never-begins").await["errorType"], "Runtime.ExitError");

    fixture.create(
        "cannot-begin",
        "call('POST', '/init/error', json.dumps({'errorType': 'X', 'errorMessage': 'y'}))\nhandler = None",
    );
    assert_eq!(
        fixture.error("cannot-begin").await,
        json!({"errorType": "X", "errorMessage": "y"})
    );

    let mut config = fixture.config(
        "hangs",
        "def handler(event, headers):\n    time.sleep(0 if event else 60)\n    return os.getpid()",
    );
    config.timeout = Duration::from_millis(500);
    fixture.lambda().create(config).unwrap();
    let (_, pid) = fixture.invoke("hangs", json!(true)).await;
    let error = fixture.error("hangs").await;
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    let message = error["errorMessage"].as_str().unwrap();
    assert!(
        message.ends_with(" Error: Task timed out after 0.50 seconds"),
        "{message}"
    );
    let (_, other) = fixture.invoke("hangs", json!(true)).await;
    assert_ne!(pid, other, "the environment that timed out must be gone");
}

#[tokio::test]
async fn refusals_have_the_shape_of_lambdas_errors() {
    let fixture = Fixture::new().await;
    let response = fixture.post("nobody", &[], "{}").await;
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["x-amzn-errortype"], "ResourceNotFoundException");
    let body: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        body["Message"],
        "Function not found: arn:aws:lambda:eu-central-1:111122223333:function:nobody"
    );
    fixture.lambda().create(fixture.config("echo", ECHO)).unwrap();
    let response = fixture.post("echo:2", &[], "{}").await;
    assert_eq!(
        response.status(),
        404,
        "a version that was not published must not be found"
    );
    let version = fixture.lambda().version_arn("echo").replace(':', "%3A");
    let response = fixture.post(&version, &[], "{}").await;
    assert_eq!(response.headers()["x-amz-executed-version"], "1");
    let response = fixture.post("echo", &[], "{}").await;
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");

    let mut config = fixture.config("echo", ECHO);
    config.concurrency = Some(0);
    fixture.lambda().create(config).unwrap();
    let response = fixture.post("echo", &[], "{}").await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["x-amzn-errortype"], "TooManyRequestsException");

    fixture.create("echo", ECHO);
    let arn = "arn%3Aaws%3Alambda%3Aeu-central-1%3A111122223333%3Afunction%3Aecho";
    let response = fixture.post(arn, &[], "[1]").await;
    assert_eq!(response.status(), 200);
    let response = fixture.post("echo", &[], "not json").await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-amzn-errortype"], "InvalidRequestContentException");
    let event = [("x-amz-invocation-type", "Event")];
    assert_eq!(fixture.post("echo", &event, "{}").await.status(), 202);
}

#[tokio::test]
async fn injected_faults_hit_the_planned_invocation() {
    let fixture = Fixture::new().await;
    let mark = fixture.folder.path().join("mark");
    let handler = format!(
        "def handler(event, headers):\n    open({:?}, 'a').write(str(event))\n    return event",
        mark.display().to_string()
    );
    fixture.create("marks", &handler);
    let lambda = fixture.lambda();
    lambda.inject("marks", 2, Fault::DieBefore).unwrap();
    lambda.inject("marks", 3, Fault::DieAfter).unwrap();
    lambda.inject("marks", 4, Fault::Throttle).unwrap();
    lambda.inject("marks", 5, Fault::ServiceError).unwrap();
    let marks = || std::fs::read_to_string(&mark).unwrap();

    assert_eq!(fixture.invoke("marks", json!(1)).await, (None, json!(1)));
    let (_, error) = fixture.invoke("marks", json!(2)).await;
    assert_eq!(
        (error["errorType"].as_str(), marks()),
        (Some("Runtime.ExitError"), "1".to_owned())
    );
    let (_, error) = fixture.invoke("marks", json!(3)).await;
    assert_eq!(
        (error["errorType"].as_str(), marks()),
        (Some("Runtime.ExitError"), "13".to_owned())
    );
    assert_eq!(fixture.post("marks", &[], "4").await.status(), 429);
    assert_eq!(fixture.post("marks", &[], "5").await.status(), 500);
    assert_eq!(fixture.invoke("marks", json!(6)).await, (None, json!(6)));
    assert_eq!(marks(), "136");

    // A fault may also hit every invocation until it is removed.
    lambda.break_down("marks", Fault::ServiceError).unwrap();
    for body in ["7", "8"] {
        assert_eq!(fixture.post("marks", &[], body).await.status(), 500);
    }
    lambda.mend("marks").unwrap();
    assert_eq!(fixture.invoke("marks", json!(9)).await, (None, json!(9)));
    assert_eq!(marks(), "1369");
    assert!(lambda.inject("nobody", 1, Fault::Throttle).is_err());
}
