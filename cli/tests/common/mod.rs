//! The built program, connected to the local world.
#![allow(dead_code)]

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use landfall_local::{
    account::REGION,
    deploy::Retries,
    simulated::{
        customer_profiles::{CustomerProfiles, Settings},
        simulator::Recipe,
    },
    world::{Options, World},
};
use serde_json::Value;

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The result of running the program.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) status: i32,
    pub(crate) printed: String,
    pub(crate) said: String,
}

impl Came {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.printed).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The program without any settings of this machine, so that it asks no other machine.
pub(crate) fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_landfall"));
    program
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("NO_PROXY", "127.0.0.1,localhost");
    program
}

pub(crate) fn landfall(arguments: &[&str]) -> Came {
    let output = program().current_dir(ROOT).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Came {
        status: output.status.code().unwrap(),
        printed: text(output.stdout),
        said: text(output.stderr),
    }
}

pub(crate) struct Here {
    pub(crate) world: World,
    pub(crate) url: String,
}

impl Here {
    /// A world whose jobs take `duration`. At most `limit` of them run at a time; 0 means any number.
    pub(crate) async fn start(duration: Duration, limit: u64) -> Self {
        let mut options = Options {
            retries: Retries::Short,
            services: vec![Recipe::of::<CustomerProfiles>(Settings {
                profiles: 500,
                duration,
                ..Settings::default()
            })],
            ..Options::for_kind("segment-snapshot").unwrap()
        };
        // A busy machine needs more time than an idle one.
        let deadline = ("LANDFALL_DEADLINE_SECONDS".to_owned(), "900".to_owned());
        options.variables.extend([deadline]);
        let limit = BTreeMap::from([("LANDFALL_MAX_RUNNING".to_owned(), limit.to_string())]);
        options
            .function_variables
            .insert("segment-snapshot-start".to_owned(), limit);
        let world = World::start(options).await.unwrap();
        world.deploy_rules().await.unwrap();
        world.deploy_stack().await.unwrap();
        let url = world.edge().url();
        Self { world, url }
    }

    /// Runs the program, connected to the local world.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Came {
        let there = ["--endpoint-url", &self.url, "--region", REGION];
        let arguments: Vec<String> = arguments.iter().chain(&there).map(ToString::to_string).collect();
        tokio::task::spawn_blocking(move || landfall(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
            .await
            .unwrap()
    }
}

/// Writes an event like the sample, with its detail changed, to a file.
pub(crate) fn event(folder: &Path, change: impl FnOnce(&mut Value)) -> String {
    let sample = fs::read(Path::new(ROOT).join("events/segment-snapshot.json")).unwrap();
    let mut event: Value = serde_json::from_slice(&sample).unwrap();
    event["id"] = "8bf73129-1428-4cd3-a780-95db273d1602".into();
    change(&mut event["detail"]);
    let path = folder.join("event.json");
    fs::write(&path, event.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}
