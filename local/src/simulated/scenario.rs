//! What the scenarios of all simulated services have in common.
//!
//! What must stay true: a scenario of a service is a variant of its enum. The help shows the variant's doc comment. A
//! scenario's behaviour is made of the few parts that the service obeys, and no service asks which scenario it plays.
//! If several services can do the same, it has the same name in each.

use std::fmt;

use strum::{EnumMessage, VariantNames};

/// The error for a name that no scenario of a service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario {
    name: String,
    known: &'static [&'static str],
}

impl UnknownScenario {
    /// The error for a name that is not one of the scenarios `S`.
    pub fn of<S: VariantNames>(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            known: S::VARIANTS,
        }
    }
}

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no scenario is called {:?} there; there are {}",
            self.name,
            self.known.join(", ")
        )
    }
}

impl std::error::Error for UnknownScenario {}

/// The text of the help about a scenario.
pub fn description(scenario: &impl EnumMessage) -> &'static str {
    scenario.get_documentation().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{error::Error, fmt::Debug, str::FromStr};

    use super::*;
    use crate::simulated::{customer_profiles, pinpoint, quicksight};

    fn each_is_named_and_described<S>(all: &[S])
    where
        S: FromStr<Err: Error> + fmt::Display + Debug + PartialEq + EnumMessage,
    {
        for scenario in all {
            assert_eq!(scenario.to_string().parse::<S>().unwrap(), *scenario);
            let about = description(scenario);
            assert!(
                about.ends_with('.') && !about.contains('\n') && about.len() < 100,
                "{about}"
            );
        }
    }

    #[test]
    fn each_scenario_is_found_by_its_name_and_described_in_a_line() {
        each_is_named_and_described(customer_profiles::Scenario::ALL);
        each_is_named_and_described(pinpoint::Scenario::ALL);
        each_is_named_and_described(quicksight::Scenario::ALL);
    }

    #[test]
    fn an_unknown_name_is_answered_with_all_names() {
        let error = "sucess".parse::<pinpoint::Scenario>().unwrap_err().to_string();
        let begin = "no scenario is called \"sucess\" there; there are success, service-failed";
        assert!(error.starts_with(begin) && error.ends_with("stuck"), "{error}");
    }
}
