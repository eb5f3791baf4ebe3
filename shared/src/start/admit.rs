//! Lets an event through the gate.
//!
//! What must stay true: each resource that an event names (a destination, a source, a role, a key, a domain, a
//! dashboard, a user) is compared with the allow list before any service is called.

use serde_json::Value;

use crate::{
    config::Config,
    error::{Error, Result},
    event::{self, Requested},
    registered::RegisteredUser,
    service::JobService,
    trigger::account_of,
};

/// Reads an event and lets it through the gate. Calls no service.
pub fn admit<S: JobService>(config: &Config, event: &Value) -> Result<Requested<S::Request>> {
    let requested = event::parse::<S>(event, config.default_destination.as_ref())?;
    check_gate::<S>(config, event, &requested)?;
    Ok(requested)
}

/// Compares all resources that an event names with the allow list. The default role is not checked, because the
/// deployment set it.
fn check_gate<S: JobService>(config: &Config, event: &Value, requested: &Requested<S::Request>) -> Result<()> {
    let named = S::named_resources(event.get("detail").unwrap_or(&Value::Null));
    if let Some(destination) = &requested.destination {
        let path = named
            .destination
            .as_ref()
            .map_or("the default destination", |destination| destination.path);
        config.allowed.check_location(path, destination)?;
    }
    if let Some(source) = &named.source {
        let uri = source
            .value
            .parse()
            .map_err(|why| Error::internal(format!("{}: {why}", source.path)))?;
        config.allowed.check_location(source.path, &uri)?;
    }
    if let Some(role) = &named.role {
        config.allowed.check_role(role.path, &role.value)?;
    }
    if let Some(key) = named.kms_key.as_ref().filter(|key| !key.value.is_empty()) {
        config.allowed.check_key(key.path, &key.value)?;
    }
    if let Some(domain) = &named.domain {
        config.allowed.check_domain(domain.path, &domain.value)?;
    }
    if let Some(dashboard) = &named.dashboard {
        config.allowed.check_dashboard(dashboard.path, &dashboard.value)?;
    }
    if let Some(user) = &requested.options.registered_user {
        check_user(config, event, user)?;
    }
    Ok(())
}

/// Whether the deployment lets the event act for a user.
pub(crate) fn check_user(config: &Config, event: &Value, user: &RegisteredUser) -> Result<()> {
    let account = account_of(event).unwrap_or_default();
    let region = config
        .region
        .as_deref()
        .or(event["region"].as_str())
        .unwrap_or_default();
    config.allowed.check_user(user.given_by(), &user.actor(account, region))
}
