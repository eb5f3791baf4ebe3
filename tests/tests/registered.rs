//! Dashboard snapshots for registered users of Quick Sight: for whom they are made, who can read about the users, and
//! which values are never written.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use landfall::{
    error::ErrorKind,
    job::{Job, Status},
};
use landfall_local::simulated::{
    quicksight::{Operation, QuickSight, Scenario, Settings},
    simulator::Simulator as _,
};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER, SESSION_ROLE},
    in_process::{Faults, Harm, Moment, sdk},
};
use serde_json::{Value, json};

const ROWS: u64 = 40;

/// The planted name and address.
const NAME: &str = "anna.planted";
const ADDRESS: &str = "anna.planted@example.com";

type Snapshots = Harness<DashboardSnapshots, QuickSight>;

fn with_faults(scenario: Scenario, faults: Arc<Faults>) -> Result<Snapshots> {
    let settings = Settings {
        rows: ROWS,
        duration: Duration::from_secs(45),
        scenario,
        ..Settings::default()
    };
    Harness::dashboards(settings, faults)
}

fn harness(scenario: Scenario) -> Snapshots {
    with_faults(scenario, Faults::none()).expect("the harness is right")
}

fn event_for(user: Value) -> Value {
    let text = include_str!("../../events/dashboard-snapshot-registered-user.json");
    let mut event: Value = serde_json::from_str(text).expect("the sample is JSON");
    event["detail"]["Landfall"]["RegisteredUser"] = user;
    event
}

fn arn(name: &str) -> String {
    format!("arn:aws:quicksight:eu-central-1:111122223333:user/default/{name}")
}

fn by_arn(name: &str) -> Value {
    event_for(json!({ "UserArn": arn(name) }))
}

fn by_name() -> Value {
    event_for(json!({ "UserName": NAME, "Namespace": "default" }))
}

fn by_address() -> Value {
    event_for(json!({ "Email": ADDRESS, "Namespace": "default", "IdentityRegion": "us-east-1" }))
}

fn error(sealed: &Value) -> (&str, &str) {
    let text = |name: &str| sealed["outcome"]["error"][name].as_str().unwrap_or_default();
    (text("Error"), text("Cause"))
}

/// Everything that Landfall itself wrote, as text.
fn written(harness: &Snapshots) -> String {
    let all = [LEDGER, EXPORTS].into_iter().flat_map(|bucket| {
        let keys = harness.store.keys(bucket).into_iter();
        keys.filter(move |key| bucket == LEDGER || key.ends_with(".json") || key.ends_with(".jsonl"))
            .map(move |key| (bucket, key))
    });
    all.filter_map(|(bucket, key)| Some((key.clone(), harness.store.body(bucket, &key)?)))
        .map(|(key, body)| format!("{key} {}\n", String::from_utf8_lossy(&body)))
        .collect()
}

#[tokio::test]
async fn a_snapshot_is_made_in_a_session_of_the_user() -> Result<()> {
    let elsewhere = event_for(json!({
        "UserArn": "arn:aws:quicksight:us-east-1:111122223333:user/default/Analysts/anna",
    }));
    for event in [by_arn("anna"), by_name(), by_address(), elsewhere] {
        let harness = harness(Scenario::Success);
        let sealed = harness.run("first", &event).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
        let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
        assert_eq!(receipt["output"]["rows"], ROWS);
        let operations: Vec<_> = harness.simulated.calls().iter().map(|call| call.operation).collect();
        // The start call and each poll have a session of their own.
        assert_eq!(
            operations[..3],
            [Operation::Identity, Operation::Session, Operation::Start]
        );
        assert_eq!(
            operations[3..6],
            [Operation::Identity, Operation::Session, Operation::Describe]
        );
        assert_eq!(operations[operations.len() - 1], Operation::Result);
        let made = harness.simulated.jobs_made();
        assert!(made[0].user.is_some() && made.len() == 1, "{made:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_user_who_is_not_allowed_is_refused_before_any_call() -> Result<()> {
    let refused = [
        event_for(json!({ "UserArn": "arn:aws:quicksight:eu-central-1:111122223333:user/guests/anna" })),
        event_for(json!({ "UserName": NAME, "Namespace": "guests" })),
        event_for(json!({ "Email": ADDRESS, "Namespace": "guests" })),
    ];
    for event in refused {
        let harness = harness(Scenario::Success);
        let sealed = harness.run("first", &event).await?;
        let (name, cause) = error(&sealed);
        assert_eq!(name, "Landfall.Forbidden", "{sealed:#}");
        assert!(
            cause.contains("AllowedQuickSightUsers") && !cause.contains("anna"),
            "{cause}"
        );
        assert_eq!(harness.simulated.calls(), []);
    }
    // A pattern for some users of a namespace does not allow an address, and by default no user is allowed.
    for (patterns, event, is_allowed) in [
        (vec![arn("anna")], by_arn("anna"), true),
        (vec![arn("anna")], by_arn("annabel"), false),
        (vec![arn(&format!("{NAME}*"))], by_name(), true),
        (vec![arn(&format!("{NAME}*"))], by_address(), false),
        (vec![], by_arn("anna"), false),
    ] {
        let mut harness = harness(Scenario::Success);
        harness.configure(|config| config.allowed.users = patterns);
        let started = harness.start(&Snapshots::received("first", &event)).await;
        assert_eq!(started.is_ok(), is_allowed, "{started:?}");
        assert_eq!(harness.simulated.calls().is_empty(), !is_allowed);
    }
    Ok(())
}

#[tokio::test]
async fn an_event_names_its_users_in_one_way() -> Result<()> {
    let with = |change: fn(&mut Value)| {
        let mut event = by_arn("anna");
        change(&mut event["detail"]);
        event
    };
    for (event, words) in [
        (
            with(|detail| detail["UserConfiguration"] = json!({"AnonymousUsers": [{}]})),
            vec!["$.detail.UserConfiguration: found a value beside Landfall.RegisteredUser"],
        ),
        (
            with(|detail| {
                detail["Landfall"].as_object_mut().unwrap().remove("RegisteredUser");
            }),
            vec!["one anonymous user", "Landfall.RegisteredUser"],
        ),
        (
            with(|detail| detail["Landfall"]["RegisteredUser"] = json!(ADDRESS)),
            vec!["RegisteredUser: found a value that is not shown"],
        ),
        (
            with(|detail| detail["Landfall"]["RegisteredUser"] = json!({"UserArn": ADDRESS})),
            vec!["UserArn: found a value that is not shown"],
        ),
        (
            with(|detail| {
                detail["Landfall"]["RegisteredUser"] =
                    json!({"UserArn": "arn:aws:quicksight:eu-central-1:999999999999:user/default/planted"});
            }),
            vec!["UserArn: found a user of another account"],
        ),
    ] {
        let harness = harness(Scenario::Success);
        let sealed = harness.run("first", &event).await?;
        let (name, cause) = error(&sealed);
        assert_eq!(name, "Landfall.InvalidEvent", "{sealed:#}");
        assert!(words.iter().all(|word| cause.contains(word)), "{cause}");
        assert!(
            !cause.contains("planted") && !written(&harness).contains("planted"),
            "{cause}"
        );
        assert_eq!(harness.simulated.calls(), []);
    }
    Ok(())
}

#[tokio::test]
async fn a_job_of_one_user_cannot_be_polled_as_another() -> Result<()> {
    let missed = |job: &Job| {
        assert_eq!(job.status, Status::Running);
        let last = job.missed.last.clone().expect("no poll was missed");
        (last.error, last.cause)
    };
    // With another user in the event, no call is made.
    for (event, other) in [
        (by_arn("anna"), by_arn("berta")),
        (by_name(), by_address()),
        (by_arn("anna"), by_name()),
    ] {
        let harness = harness(Scenario::Success);
        let job = harness.start(&Snapshots::received("first", &event)).await?;
        let calls = harness.simulated.calls().len();
        let seen = harness.look(job, &other).await?;
        assert_eq!(missed(&seen).0, ErrorKind::Forbidden.name());
        assert_eq!(harness.simulated.calls().len(), calls);
    }
    // With another user in the job's record, the service itself denies the poll.
    let harness = harness(Scenario::Success);
    let mut job = harness.start(&Snapshots::received("first", &by_arn("anna"))).await?;
    job.request["RegisteredUser"]["UserArn"] = json!(arn("berta"));
    let seen = harness.poll(job.clone()).await?;
    let (name, cause) = missed(&seen);
    assert_eq!(name, ErrorKind::Forbidden.name());
    assert!(
        cause.contains("started by a different user") || cause.contains("share the dashboard"),
        "{cause}"
    );
    // A poll without a user is denied, too.
    job.request
        .as_object_mut()
        .context("no request")?
        .remove("RegisteredUser");
    assert_eq!(missed(&harness.poll(job).await?).0, ErrorKind::Forbidden.name());
    // An idempotency key does not lead to the job of another user.
    let keyed = |mut event: Value| {
        event["detail"]["Landfall"]["IdempotencyKey"] = json!("nightly");
        event
    };
    harness
        .start(&Snapshots::received("first", &keyed(by_arn("anna"))))
        .await?;
    let refused = harness
        .start(&Snapshots::received("second", &keyed(by_arn("berta"))))
        .await;
    assert_eq!(refused.map_err(|error| error.kind), Err(ErrorKind::InvalidEvent));
    Ok(())
}

#[tokio::test]
async fn each_session_scenario_ends_with_its_own_outcome() -> Result<()> {
    for (scenario, expected, words) in [
        (Scenario::TokenThrottled, "", ""),
        (
            Scenario::IdentityCenterUser,
            "Landfall.InvalidEvent",
            "CreateTokenWithIAM",
        ),
        (Scenario::SessionDenied, "Landfall.Forbidden", "sts:SetContext"),
        (Scenario::Denied, "Landfall.Forbidden", "share the dashboard"),
        (
            Scenario::RlsChanged,
            "Landfall.OutputRejected",
            "rerun with the current settings",
        ),
    ] {
        let harness = harness(scenario);
        let sealed = harness.run("first", &by_name()).await?;
        let (name, cause) = error(&sealed);
        assert_eq!(name, expected, "{scenario}: {sealed:#}");
        assert!(cause.contains(words) && !cause.contains(NAME), "{scenario}: {cause}");
    }
    let mut harness = harness(Scenario::Success);
    harness.talk_to_as(Arc::clone(&harness.simulated) as Arc<_>, |sdk, _| {
        DashboardSnapshots::new(sdk, None)
    });
    let refused = harness.start(&Snapshots::received("first", &by_name())).await;
    assert_eq!(refused.map_err(|error| error.kind), Err(ErrorKind::Forbidden));
    Ok(())
}

/// Any call (token, session, start, poll) may be lost before or after its effect: there is one job with one receipt.
#[tokio::test]
async fn any_one_call_may_be_lost() -> Result<()> {
    let event = by_address();
    let quiet = harness(Scenario::Success);
    quiet.run("first", &event).await?;
    let calls = quiet.faults.calls();
    assert!(calls > 14, "{calls} calls");
    for call in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call} of {calls}, {moment:?}, {harm:?}");
                let harness = with_faults(Scenario::Success, Faults::at(call, moment, harm))?;
                let sealed = harness.run("first", &event).await.context(case.clone())?;
                assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}: {sealed:#}");
                assert_eq!(harness.simulated.jobs_made().len(), 1, "{case}");
                assert_eq!(harness.receipts().len(), 1, "{case}");
            }
        }
    }
    Ok(())
}

/// Keeps the log lines of our own crates.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        write!(self.0.lock().unwrap(), "{field}={value:?} ").expect("a string takes all");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("landfall")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn no_log_ledger_receipt_or_history_holds_a_name_or_address() -> Result<()> {
    let log = Log::default();
    // This is the subscriber of the whole process, so the lines of other tests are searched, too.
    tracing::subscriber::set_global_default(log.clone())?;
    for scenario in [
        Scenario::Success,
        Scenario::LostAnswer,
        Scenario::PollThrottled,
        Scenario::Denied,
        Scenario::IdentityCenterUser,
        Scenario::SessionDenied,
        Scenario::ServiceFailed,
    ] {
        for event in [by_name(), by_address()] {
            let harness = harness(scenario);
            let sealed = harness.run("first", &event).await?;
            let picked = sealed["job_key"].as_str().unwrap_or_default().to_owned();
            let mut again = event.clone();
            again["detail"]["Landfall"]["PickUp"] = json!(picked);
            harness.run("second", &again).await?;
            let written = written(&harness);
            assert!(written.contains("GivenBy") && written.contains("jobs/dashboard-snapshot/"));
            if scenario == Scenario::Success {
                assert!(written.contains("history/dashboard-snapshot/"), "{written}");
            }
            for text in [written, sealed.to_string(), log.0.lock().unwrap().clone()] {
                assert!(!text.contains("planted"), "{scenario}: {text}");
            }
        }
    }
    assert!(log.0.lock().unwrap().contains("the service started the job"));
    Ok(())
}

/// Checks what AWS says about credentials, with the SDK's own client.
#[tokio::test]
async fn the_simulated_service_checks_credentials() -> Result<()> {
    let harness = harness(Scenario::Success);
    let role = sdk(Arc::clone(&harness.simulated) as Arc<_>, &Faults::none());
    let quicksight = aws_sdk_quicksight::Client::new(&role);
    let sts = aws_sdk_sts::Client::new(&role);
    let session_of = async |name: &str| -> Result<aws_sdk_quicksight::Client> {
        let who = aws_sdk_quicksight::types::UserIdentifier::UserArn(arn(name));
        let token = quicksight
            .get_identity_context()
            .aws_account_id("111122223333")
            .user_identifier(who)
            .send()
            .await?;
        let context = aws_sdk_sts::types::ProvidedContext::builder()
            .provider_arn("arn:aws:iam::aws:contextProvider/QuickSight")
            .context_assertion(token.context().context("no token")?)
            .build();
        let given = sts
            .assume_role()
            .role_arn(SESSION_ROLE)
            .role_session_name("a-test")
            .duration_seconds(900)
            .provided_contexts(context)
            .send()
            .await?;
        let given = given.credentials.context("no credentials")?;
        let session = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            None,
            "test",
        );
        let config = role
            .clone()
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(session))
            .build();
        Ok(aws_sdk_quicksight::Client::new(&config))
    };
    let job = harness.start(&Snapshots::received("first", &by_arn("anna"))).await?;
    let described = async |client: &aws_sdk_quicksight::Client| {
        let call = client.describe_dashboard_snapshot_job().aws_account_id("111122223333");
        let answer = call
            .dashboard_id("sales-overview")
            .snapshot_job_id(&job.service_id)
            .send()
            .await;
        answer.map(|told| told.job_status.is_some()).map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            (status, error.into_service_error().is_access_denied_exception())
        })
    };
    let denied = Err((Some(401), true));
    let (anna, berta) = (session_of("anna").await?, session_of("berta").await?);
    assert_eq!(described(&anna).await, Ok(true));
    assert_eq!(described(&berta).await, denied);
    assert_eq!(described(&quicksight).await, denied);
    // A session for a registered user cannot name an anonymous one.
    let user = aws_sdk_quicksight::types::SnapshotUserConfiguration::builder()
        .anonymous_users(aws_sdk_quicksight::types::SnapshotAnonymousUser::builder().build())
        .build();
    let configuration = aws_sdk_quicksight::types::SnapshotConfiguration::builder()
        .set_file_groups(Some(Vec::new()))
        .build()?;
    let refused = anna
        .start_dashboard_snapshot_job()
        .aws_account_id("111122223333")
        .dashboard_id("sales-overview")
        .snapshot_job_id("another")
        .user_configuration(user)
        .snapshot_configuration(configuration)
        .send()
        .await
        .expect_err("it names both");
    assert!(format!("{refused:?}").contains("identity-enhanced"), "{refused:?}");
    harness.pass(Duration::from_secs(16 * 60)).await;
    assert_eq!(described(&anna).await, denied);
    Ok(())
}
