//! Who may use what: access rules against an identity.

use super::config::{AccessRule, Config, Resource, Who};
use super::nearest::nearest;
use crate::domain::{Access, Duration, Failure, Identity, IdentityKind, Kind, Purpose, PurposeId, ResourceName};

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a ResourceName,
    pub(crate) access: Access,
    pub(crate) purpose: Option<&'a Purpose>,
}

/// What they may have: everything a grant needs to know from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) access: Access,
    /// Longest session.
    pub(crate) ttl: Duration,
}

/// The rules that let this identity at this resource.
pub(crate) fn ways<'a>(
    config: &'a Config,
    identity: &Identity,
    name: &ResourceName,
    resource: &Resource,
) -> Vec<&'a AccessRule> {
    config.access.iter().filter(|rule| fits(&rule.who, identity) && covers(rule, name, resource)).collect()
}

/// Resources that nobody can use: no rule covers them.
pub(crate) fn unused(config: &Config) -> impl Iterator<Item = &ResourceName> {
    let open =
        |(name, resource): &(&ResourceName, &Resource)| config.access.iter().any(|rule| covers(rule, name, resource));
    config.resources.iter().filter(move |entry| !open(entry)).map(|(name, _)| name)
}

fn fits(who: &Who, identity: &Identity) -> bool {
    let any_group = who.groups.is_empty() || who.groups.iter().any(|group| identity.groups.contains(group));
    let any_subject = who.subjects.is_empty() || who.subjects.contains(&identity.subject);
    let any_kind = who.kinds.is_empty() || who.kinds.contains(&identity.kind);
    any_group && any_subject && any_kind
}

fn covers(rule: &AccessRule, name: &ResourceName, resource: &Resource) -> bool {
    let named = rule.resources.is_empty() || rule.resources.contains(name);
    named && rule.labels.iter().all(|(label, value)| resource.labels.get(label) == Some(value))
}

/// Whether a request may be granted, and with which limits. A refusal says what would be granted.
pub(crate) fn decide<'a>(
    config: &'a Config,
    identity: &Identity,
    request: Request<'_>,
) -> Result<Allowed<'a>, Failure> {
    let found = config.resources.get(request.resource);
    let ways = found.map(|resource| ways(config, identity, request.resource, resource)).unwrap_or_default();
    let Some(resource) = found.filter(|_| !ways.is_empty()) else {
        return Err(unknown(config, identity, request.resource));
    };
    let ways: Vec<_> = ways.into_iter().filter(|rule| rule.access >= request.access).collect();
    if ways.is_empty() {
        let message = format!("`{}` is open to you for reading only", request.resource);
        return Err(Failure::new(Kind::Denied, message));
    }
    let Some(purpose) = request.purpose else {
        let free = ways.iter().find(|rule| rule.purposes.is_empty());
        return match free {
            // An agent without a purpose gets nothing (`DESIGN.md` section 10).
            Some(rule) if identity.kind != IdentityKind::Agent => {
                Ok(Allowed { resource, access: request.access, ttl: rule.ttl })
            }
            Some(_) | None => Err(purpose_needed(config, &ways, request.resource)),
        };
    };
    let fitting = ways.iter().find(|rule| rule.purposes.contains(&purpose.id) || rule.purposes.is_empty());
    let rule = config.purposes.get(&purpose.id).zip(fitting);
    let Some((limits, way)) = rule else {
        let message = format!("`{}` is not open to you for the purpose `{}`", request.resource, purpose.id);
        let mut failure = purpose_needed(config, &ways, request.resource);
        failure.message = message;
        return Err(failure);
    };
    if limits.access < request.access {
        let message = format!("the purpose `{}` is for reading only", purpose.id);
        return Err(Failure::new(Kind::Denied, message));
    }
    check_reference(purpose, limits.reference.as_ref())?;
    Ok(Allowed { resource, access: request.access, ttl: limits.ttl.map_or(way.ttl, |ttl| ttl.min(way.ttl)) })
}

fn check_reference(purpose: &Purpose, pattern: Option<&regex::Regex>) -> Result<(), Failure> {
    let Some(pattern) = pattern else { return Ok(()) };
    let wanted = format!("Its pattern is `{}`.", pattern.as_str());
    match purpose.reference.as_deref() {
        Some(reference) if pattern.is_match(reference) => Ok(()),
        Some(reference) => {
            let message = format!("`{reference}` is not a reference for `{}`", purpose.id);
            Err(Failure::new(Kind::Denied, message).detail(wanted))
        }
        None => {
            let message = format!("the purpose `{}` needs a reference", purpose.id);
            Err(Failure::new(Kind::Denied, message).detail(wanted).hint("add --ref with the ticket's number"))
        }
    }
}

fn purpose_needed(config: &Config, ways: &[&AccessRule], name: &ResourceName) -> Failure {
    let mut ids: Vec<&PurposeId> = ways.iter().flat_map(|rule| &rule.purposes).collect();
    if ids.is_empty() {
        ids = config.purposes.keys().collect();
    }
    ids.sort();
    ids.dedup();
    let failure = Failure::new(Kind::Denied, format!("`{name}` needs a purpose"));
    let Some(first) = ids.first() else { return failure.detail("No purposes are configured.") };
    let list: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
    failure.detail(format!("It is open to you for: {}.", list.join(", "))).hint(format!("add --purpose {first}"))
}

/// The same words whether the resource does not exist or is not for this identity: the difference is nobody's business.
/// Only names the caller may use are suggested.
fn unknown(config: &Config, identity: &Identity, name: &ResourceName) -> Failure {
    let mine = config.resources.iter().filter(|(name, resource)| !ways(config, identity, name, resource).is_empty());
    let failure = Failure::new(Kind::NotFound, format!("there is no resource `{name}` for you"));
    match nearest(name.as_str(), mine.map(|(name, _)| name.as_str())) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`? `gov ls` lists all")),
        None => failure.hint("see what there is with: gov ls"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::{Method, Timestamp};
    use crate::server::config;

    fn config() -> Config {
        let text = "
server: {listen: '127.0.0.1:0', data: data}
resources:
  prod-db: {url: 'postgres://u@h/d', labels: {env: prod}}
  staging-db: {url: 'postgres://u@h/d', labels: {env: staging}}
  hidden-db: {url: 'postgres://u@h/d'}
purposes:
  ticket: {description: d, reference: 'T-[0-9]+', access: read, ttl: 30m}
  incident: {description: d}
access:
  - {who: {group: dev}, labels: {env: staging}, access: write, ttl: 8h}
  - {who: {group: dev}, resources: prod-db, access: read, purposes: [ticket]}
  - {who: {group: dba, kind: person}, resources: [prod-db], access: write, purposes: incident, ttl: 2h}
  - {who: {subject: u-7}, resources: [hidden-db], access: read}
";
        config::parse(text, Path::new("gov.yaml"), true).unwrap()
    }

    fn identity(subject: &str, groups: &[&str], kind: IdentityKind) -> Identity {
        Identity {
            issuer: "https://idp".to_owned(),
            subject: subject.to_owned(),
            name: subject.to_owned(),
            email: None,
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            kind,
            actors: Vec::new(),
            method: Method::IdToken,
            proved_at: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn requests() {
        use Access::{Read, Write};
        use IdentityKind::{Agent, Person};
        let config = config();
        let ask = |groups: &[&str], kind, resource: &str, access, purpose: Option<(&str, Option<&str>)>| {
            let purpose = purpose
                .map(|(id, reference)| Purpose { id: id.parse().unwrap(), reference: reference.map(str::to_owned) });
            let request = Request { resource: &resource.parse().unwrap(), access, purpose: purpose.as_ref() };
            decide(&config, &identity("u-1", groups, kind), request)
                .map(|allowed| allowed.ttl.as_secs() / 60)
                .map_err(|failure| failure.message)
        };
        let no = |text: &str| Err(text.to_owned());
        let dev = |resource, access, purpose| ask(&["dev"], Person, resource, access, purpose);
        assert_eq!(dev("staging-db", Write, None), Ok(480));
        assert_eq!(dev("staging-db", Read, None), Ok(480));
        assert_eq!(dev("staging-db", Write, Some(("incident", None))), Ok(480));
        assert_eq!(
            dev("staging-db", Write, Some(("ticket", Some("T-1")))),
            no("the purpose `ticket` is for reading only")
        );
        assert_eq!(dev("prod-db", Read, None), no("`prod-db` needs a purpose"));
        assert_eq!(dev("prod-db", Read, Some(("ticket", Some("T-12")))), Ok(30));
        assert_eq!(dev("prod-db", Read, Some(("ticket", None))), no("the purpose `ticket` needs a reference"));
        assert_eq!(dev("prod-db", Read, Some(("ticket", Some("T-")))), no("`T-` is not a reference for `ticket`"));
        assert_eq!(
            dev("prod-db", Read, Some(("incident", None))),
            no("`prod-db` is not open to you for the purpose `incident`")
        );
        assert_eq!(dev("prod-db", Write, Some(("ticket", None))), no("`prod-db` is open to you for reading only"));
        assert_eq!(dev("hidden-db", Read, None), no("there is no resource `hidden-db` for you"));
        assert_eq!(dev("nothing", Read, None), no("there is no resource `nothing` for you"));
        let dba = |kind| ask(&["dba"], kind, "prod-db", Write, Some(("incident", None)));
        assert_eq!(dba(Person), Ok(120));
        assert_eq!(dba(Agent), no("there is no resource `prod-db` for you"));
        assert_eq!(ask(&["dev"], Agent, "staging-db", Read, None), no("`staging-db` needs a purpose"));
        assert_eq!(ask(&["dev"], Agent, "staging-db", Read, Some(("incident", None))), Ok(480));
        assert_eq!(ask(&[], Person, "staging-db", Read, None), no("there is no resource `staging-db` for you"));
    }

    #[test]
    fn resources_without_a_rule_are_told() {
        let mut config = config();
        assert_eq!(unused(&config).count(), 0);
        config.access.pop();
        assert_eq!(unused(&config).map(ResourceName::as_str).collect::<Vec<_>>(), ["hidden-db"]);
    }

    #[test]
    fn refusals_help_without_telling_what_else_there_is() {
        let config = config();
        let ask = |subject: &str, groups: &[&str], resource: &str| {
            let resource = resource.parse().unwrap();
            let request = Request { resource: &resource, access: Access::Read, purpose: None };
            decide(&config, &identity(subject, groups, IdentityKind::Person), request).unwrap_err()
        };
        let near = ask("u-1", &["dev"], "stagingdb");
        assert_eq!(near.hint.as_deref(), Some("did you mean `staging-db`? `gov ls` lists all"));
        assert_eq!(ask("u-1", &["dev"], "hiddn-db").hint.as_deref(), Some("see what there is with: gov ls"));
        assert_eq!(ask("u-7", &[], "hiddn-db").hint.as_deref(), Some("did you mean `hidden-db`? `gov ls` lists all"));
        let purpose = ask("u-1", &["dev"], "prod-db");
        assert_eq!(purpose.detail.as_deref(), Some("It is open to you for: `ticket`."));
        assert_eq!(purpose.hint.as_deref(), Some("add --purpose ticket"));
    }
}
