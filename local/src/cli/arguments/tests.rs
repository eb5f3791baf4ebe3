//! The command line of `cargo local` is consistent, and the documents use it correctly.

use landfall_local::simulated::{
    SERVICES,
    customer_profiles::{self, CustomerProfiles},
    simulator::Simulator as _,
};

use super::*;

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
    let cli = Cli::parse_from([
        "x",
        "a.json",
        "--format",
        "orc",
        "--duration",
        "1.5",
        "--scenario",
        "stuck",
    ]);
    let recipes = cli.run.simulation.services(&KINDS).unwrap();
    let names: Vec<&str> = recipes.iter().map(Recipe::signing_name).collect();
    assert_eq!(names, SERVICES.map(|service| service.signing_name));
    let asked = Asked {
        duration: cli.run.simulation.duration,
        ..Asked::default()
    };
    let settings = CustomerProfiles::settings(&asked, "stuck".parse().unwrap());
    assert_eq!(settings.scenario, customer_profiles::Scenario::Stuck);
    assert_eq!(settings.duration, Duration::from_millis(1500));
    let one = [Kind::named("endpoint-export").unwrap()];
    assert_eq!(cli.run.simulation.services(&one).unwrap().len(), 1);
    let served = |arguments: &[&str]| match Cli::parse_from(arguments).command {
        Some(Command::Serve(serve)) => serve.kinds,
        _ => Vec::new(),
    };
    assert_eq!(served(&["x", "serve"]), ["segment-snapshot"]);
    assert_eq!(
        served(&["x", "serve", "--kind", "endpoint-export", "--kind", "endpoint-import"]),
        ["endpoint-export", "endpoint-import"]
    );
    for wrong in [
        &["x"][..],
        &["x", "a", "--repeat", "0"],
        &["x", "a", "--duration", "-1"],
        &["x", "a", "--scenario", "y"],
    ] {
        assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_scenario_that_no_service_plays_is_refused() {
    let kinds = |names: &[&str]| -> Vec<Kind> { names.iter().map(|name| Kind::named(name).unwrap()).collect() };
    let check = |scenario: &str, names: &[&str]| {
        let cli = Cli::parse_from(["x", "a.json", "--scenario", scenario]);
        let services = cli.run.simulation.services(&kinds(names));
        services.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(check("file-error", &["dashboard-snapshot"]), Ok(()));
    assert_eq!(check("file-error", &["segment-snapshot", "dashboard-snapshot"]), Ok(()));
    let error = check("file-error", &["segment-snapshot", "endpoint-export"]).unwrap_err();
    assert_eq!(
        error.matches("no scenario is called \"file-error\" there").count(),
        2,
        "{error}"
    );
    assert!(check("stuck", &[]).unwrap_err().contains("no service"));
}

/// Every `cargo local` command in the documents is accepted.
#[test]
fn the_commands_in_the_documents_are_accepted() {
    let documents = [
        include_str!("../../../../README.md"),
        include_str!("../../../../docs/local.md"),
        include_str!("../../../../docs/events.md"),
        include_str!("../../../../docs/consume.md"),
    ];
    let mut seen = 0;
    for line in documents.iter().flat_map(|document| document.lines()) {
        for part in line.split('`').chain([line]) {
            let Some(words) = part.trim().strip_prefix("cargo local ") else {
                continue;
            };
            let words = words.split(" > ").next().unwrap().split(" # ").next().unwrap();
            let arguments = ["cargo local"].into_iter().chain(words.split_whitespace());
            match command().try_get_matches_from(arguments) {
                Ok(_) => seen += 1,
                Err(error) => assert!(!error.use_stderr(), "{words}: {error}"),
            }
        }
    }
    assert!(seen >= 10, "{seen}");
}
