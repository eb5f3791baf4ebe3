//! Checks the calls that `landfall doctor` makes without an SDK client. botocore judges requests and answers by its
//! models.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use landfall::error::ErrorKind;
use landfall_cli::plain_calls::{PlainCalls, Quota};
use landfall_local::{places, python};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Status, content type and body of an answer.
type Answer = (u16, &'static str, String);

/// A server on this machine that gives its answers in order, and records what went over the wire.
struct Server {
    address: SocketAddr,
    exchanges: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let exchanges = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&exchanges);
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let exchange = answered(stream, answer).await;
                kept.lock().unwrap().push(exchange);
            }
        });
        Self { address, exchanges }
    }

    fn calls(&self) -> PlainCalls {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(format!("http://{}", self.address))
            .build();
        PlainCalls::new(&sdk).unwrap()
    }

    /// Lets botocore judge what went over the wire. Returns the names of the operations.
    fn judged_as(&self, service: &str) -> Value {
        let workspace = places::workspace().unwrap();
        let python = python::ensure(&workspace).unwrap();
        let mut child = Command::new(python.python())
            .arg(workspace.join("tests/python/wire.py"))
            .args(["conform", service])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let exchanges = serde_json::to_vec(&*self.exchanges.lock().unwrap()).unwrap();
        child.stdin.take().unwrap().write_all(&exchanges).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "botocore refuses an exchange; see above");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

async fn answered(mut stream: TcpStream, (status, form, body): Answer) -> Value {
    let mut received = Vec::new();
    let (head, sent) = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        received.extend_from_slice(&part[..read]);
        let text = String::from_utf8(received.clone()).unwrap();
        if let Some((head, sent)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            });
            if sent.len() >= length.unwrap_or(0) {
                break (head.to_owned(), sent.to_owned());
            }
        }
        assert!(read > 0, "the request ended early: {text}");
    };
    let answer = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: {form}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut lines = head.lines();
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    json!({
        "method": first[0], "target": first[1], "headers": headers, "body": sent,
        "status": status, "answer_headers": [["content-type", form]], "answer": body,
    })
}

const JSON: &str = "application/x-amz-json-1.1";

#[tokio::test]
async fn quotas_are_listed_page_by_page() {
    let quota = |name: &str, value: f64| {
        json!({
            "ServiceCode": "lambda", "ServiceName": "AWS Lambda", "QuotaCode": "L-B99A9384", "QuotaName": name, "Value": value,
            "Unit": "None", "Adjustable": true, "GlobalQuota": false,
        })
    };
    let pages = [
        json!({"Quotas": [quota("Concurrent executions", 10.0)], "NextToken": "more"}),
        json!({"Quotas": [quota("Function and layer storage", 75.0)]}),
    ];
    let server = Server::start(pages.map(|page| (200, JSON, page.to_string())).to_vec()).await;
    let found = server.calls().quotas("lambda").await.unwrap();
    let pairs: Vec<(&str, f64)> = found
        .iter()
        .map(|Quota { name, value }| (name.as_str(), *value))
        .collect();
    assert_eq!(
        pairs,
        [("Concurrent executions", 10.0), ("Function and layer storage", 75.0)]
    );
    assert_eq!(
        server.judged_as("service-quotas"),
        json!(["ListServiceQuotas", "ListServiceQuotas"])
    );
}

#[tokio::test]
async fn the_policies_of_a_role_are_simulated_one_action_at_a_time() {
    let decided = |decision: &str| {
        format!(
            "<SimulatePrincipalPolicyResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
             <SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults><member>\
             <MatchedStatements/><MissingContextValues/><EvalResourceName>arn:aws:s3:::b/k</EvalResourceName>\
             <EvalDecision>{decision}</EvalDecision><EvalActionName>s3:PutObject</EvalActionName></member>\
             </EvaluationResults></SimulatePrincipalPolicyResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></SimulatePrincipalPolicyResponse>"
        )
    };
    let answers = ["allowed", "implicitDeny"].map(|decision| (200, "text/xml", decided(decision)));
    let server = Server::start(answers.to_vec()).await;
    let calls = server.calls();
    for expected in ["allowed", "implicitDeny"] {
        let role = "arn:aws:iam::111122223333:role/landfall/landfall/a";
        let decision = calls.decision(role, "s3:PutObject", "arn:aws:s3:::b/k").await.unwrap();
        assert_eq!(decision, expected);
    }
    let operation = "SimulatePrincipalPolicy";
    assert_eq!(server.judged_as("iam"), json!([operation, operation]));
}

#[tokio::test]
async fn a_schedule_says_whether_it_is_on() {
    let schedule = json!({
        "Arn": "arn:aws:scheduler:eu-central-1:111122223333:schedule/default/nightly", "Name": "nightly",
        "GroupName": "default", "State": "DISABLED", "ScheduleExpression": "rate(1 day)", "CreationDate": 1_793_500_000.0,
    });
    let server = Server::start(vec![(200, "application/json", schedule.to_string())]).await;
    assert_eq!(server.calls().schedule_state("nightly").await.unwrap(), "DISABLED");
    assert_eq!(server.judged_as("scheduler"), json!(["GetSchedule"]));
}

#[tokio::test]
async fn a_call_that_is_denied_names_its_permission() {
    let denied = json!({"__type": "com.amazonaws.servicequotas#AccessDeniedException", "Message": "no"});
    let of_iam = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let server = Server::start(vec![
        (400, JSON, denied.to_string()),
        (403, "text/xml", of_iam.to_owned()),
        (502, "text/html", "<html>a proxy</html>".to_owned()),
        (200, "text/html", "<html>a portal</html>".to_owned()),
    ])
    .await;
    let calls = server.calls();
    let quotas = calls.quotas("lambda").await.unwrap_err();
    assert_eq!(quotas.kind, ErrorKind::Forbidden);
    assert!(
        quotas
            .message
            .ends_with("It takes the permission servicequotas:ListServiceQuotas"),
        "{quotas}"
    );
    let decision = calls.decision("arn:role", "a:B", "*").await.unwrap_err();
    assert!(
        decision
            .message
            .ends_with("It takes the permission iam:SimulatePrincipalPolicy"),
        "{decision}"
    );
    // An answer that does not come from AWS is never taken for one.
    for _ in 0..2 {
        assert_eq!(
            calls.schedule_state("nightly").await.unwrap_err().kind,
            ErrorKind::Unavailable
        );
    }
    let nobody = calls.schedule_state("nightly").await.unwrap_err();
    assert_eq!(nobody.kind, ErrorKind::Unavailable);
}
