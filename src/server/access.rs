//! Who may use what: access rules, purposes and agents against an identity.
//!
//! What a session gets is an intersection: of a rule that lets the person in, of the purpose that is stated, and, where
//! an agent acts for the person, of what the agent may do and what its rules say. Each can only take away.

use super::config::{AccessRule, Agent, Bounds, Config, PurposeRule, Reach, Resource, Who};
use super::nearest::nearest;
use crate::domain::{Access, Duration, Failure, Identity, IdentityKind, Kind, Purpose, PurposeId, ResourceName};
use crate::identity::workload;

/// What somebody asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) resource: &'a ResourceName,
    pub(crate) access: Access,
    pub(crate) purpose: Option<&'a Purpose>,
}

/// What they may have: everything a grant needs to know from the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    pub(crate) access: Access,
    /// Longest session.
    pub(crate) ttl: Duration,
    pub(crate) bounds: Bounds,
    /// Somebody else must agree first.
    pub(crate) approval: bool,
    /// In an emergency it may be taken for this long.
    pub(crate) break_glass: Option<Duration>,
}

/// One way to use a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer<'a> {
    pub(crate) access: Access,
    /// The purposes that may be stated.
    pub(crate) purposes: Vec<&'a PurposeId>,
    /// Whether none need be stated.
    pub(crate) free: bool,
    /// Longest session.
    pub(crate) ttl: Duration,
    /// Somebody else must agree first.
    pub(crate) approval: bool,
    /// In an emergency it may be taken for this long.
    pub(crate) break_glass: Option<Duration>,
}

/// The ways to use a resource that are open to an identity.
pub(crate) fn offers<'a>(
    config: &'a Config,
    identity: &Identity,
    name: &ResourceName,
    resource: &Resource,
) -> Vec<Offer<'a>> {
    if !is_known(config, identity) {
        return Vec::new();
    }
    if identity.actors.is_empty() {
        return by_rules(config, identity, identity.kind, name, resource);
    }
    // An actor that nobody has registered, or that may not act for this identity, has no way.
    let Some(agent) = agent_of(config, identity).filter(|agent| covers(&agent.reach, name, resource)) else {
        return Vec::new();
    };
    let own = by_rules(config, identity, identity.kind, name, resource);
    let through = by_rules(config, identity, IdentityKind::Agent, name, resource);
    through.into_iter().flat_map(|offer| narrowed(offer, &own, agent)).collect()
}

/// Whether a workload is still let in by the rule by which it logged in. Whether a person is, their provider says.
fn is_known(config: &Config, identity: &Identity) -> bool {
    let rule = workload::rule_of(identity).and_then(|id| config.workloads.get(&id));
    identity.kind != IdentityKind::Workload || rule.is_some_and(|workload| workload.rule.issuer == identity.issuer)
}

/// The agent that acts for an identity, if it may.
fn agent_of<'a>(config: &'a Config, identity: &Identity) -> Option<&'a Agent> {
    let [actor] = identity.actors.as_slice() else { return None };
    let id = actor.id.parse().ok().filter(|_| actor.kind == IdentityKind::Agent)?;
    config.agents.get(&id).filter(|agent| fits(&agent.who, identity, identity.kind))
}

/// Whether an agent may act for an identity.
pub(crate) fn may_act(agent: &Agent, identity: &Identity) -> bool {
    fits(&agent.who, identity, identity.kind)
}

/// What the access rules offer somebody who is treated as of `kind`.
fn by_rules<'a>(
    config: &'a Config,
    identity: &Identity,
    kind: IdentityKind,
    name: &ResourceName,
    resource: &Resource,
) -> Vec<Offer<'a>> {
    // A person can be asked why; a program states it before.
    let required = kind != IdentityKind::Person || needs_purpose(config, resource);
    let usable = |rule: &AccessRule, id: &PurposeId, purpose: &PurposeRule| {
        let listed = rule.purposes.is_empty() || rule.purposes.contains(id);
        listed && covers(&purpose.reach, name, resource) && fits(&purpose.who, identity, kind)
    };
    let offer = |rule: &'a AccessRule| {
        let purposes = config.purposes.iter().filter(|(id, purpose)| usable(rule, id, purpose)).map(|(id, _)| id);
        Offer {
            access: rule.access,
            purposes: purposes.collect(),
            free: rule.purposes.is_empty() && !required,
            ttl: rule.ttl,
            approval: rule.approval,
            break_glass: rule.break_glass,
        }
    };
    let rules = config.access.iter().filter(|rule| fits(&rule.who, identity, kind));
    rules.filter(|rule| covers(&rule.reach, name, resource)).map(offer).collect()
}

/// What is left of an offer when an agent takes it for somebody who has these of their own: no more than either has.
/// Where either must ask, the agent must; nothing is an emergency of an agent's.
fn narrowed<'a>(offer: Offer<'a>, own: &[Offer<'a>], agent: &Agent) -> Vec<Offer<'a>> {
    let ttl = agent.ttl.map_or(offer.ttl, |ttl| ttl.min(offer.ttl));
    let both = |id: &PurposeId, access: Access, approval: bool| {
        let fits = |own: &Offer<'_>| own.access >= access && own.purposes.contains(&id) && own.approval <= approval;
        own.iter().any(fits) && offer.approval <= approval
    };
    let mut left = offer.purposes;
    left.retain(|id| agent.purposes.contains(id));
    let mut out = Vec::new();
    let kinds = [(Access::Write, false), (Access::Write, true), (Access::Read, false), (Access::Read, true)];
    for (access, approval) in kinds.into_iter().filter(|(access, _)| *access <= offer.access.min(agent.access)) {
        let (here, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|id| both(id, access, approval));
        left = rest;
        if !here.is_empty() {
            out.push(Offer { access, purposes: here, free: false, ttl, approval, break_glass: None });
        }
    }
    out
}

/// Whether a resource carries all labels of an entry of `require_purpose`.
fn needs_purpose(config: &Config, resource: &Resource) -> bool {
    config
        .require_purpose
        .iter()
        .any(|labels| labels.iter().all(|(name, value)| resource.labels.get(name) == Some(value)))
}

/// Resources that nobody can use: no rule covers them.
pub(crate) fn unused(config: &Config) -> impl Iterator<Item = &ResourceName> {
    let open = |(name, resource): &(&ResourceName, &Resource)| {
        config.access.iter().any(|rule| covers(&rule.reach, name, resource))
    };
    config.resources.iter().filter(move |entry| !open(entry)).map(|(name, _)| name)
}

fn fits(who: &Who, identity: &Identity, kind: IdentityKind) -> bool {
    let any_group = who.groups.is_empty() || who.groups.iter().any(|group| identity.groups.contains(group));
    let any_subject = who.subjects.is_empty() || who.subjects.contains(&identity.subject);
    let any_kind = who.kinds.is_empty() || who.kinds.contains(&kind);
    any_group && any_subject && any_kind
}

fn covers(reach: &Reach, name: &ResourceName, resource: &Resource) -> bool {
    let named = reach.resources.is_empty() || reach.resources.contains(name);
    named && reach.labels.iter().all(|(label, value)| resource.labels.get(label) == Some(value))
}

/// Whether somebody may use a resource in any way at all.
pub(crate) fn usable(config: &Config, identity: &Identity, name: &ResourceName) -> Result<(), Failure> {
    let found = config.resources.get(name).is_some_and(|resource| !offers(config, identity, name, resource).is_empty());
    if found { Ok(()) } else { Err(unknown(config, identity, name)) }
}

/// Whether a request may be granted, and with which limits. A refusal says what would be granted.
pub(crate) fn decide(config: &Config, identity: &Identity, request: Request<'_>) -> Result<Allowed, Failure> {
    let found = config.resources.get(request.resource);
    let offers = found.map(|resource| offers(config, identity, request.resource, resource)).unwrap_or_default();
    if offers.is_empty() {
        return Err(unknown(config, identity, request.resource));
    }
    let mut offers: Vec<_> = offers.into_iter().filter(|offer| offer.access >= request.access).collect();
    // Nobody is asked where nobody need be.
    offers.sort_by_key(|offer| offer.approval);
    if offers.is_empty() {
        let message = format!("`{}` is open to you for reading only", request.resource);
        return Err(Failure::new(Kind::Denied, message));
    }
    let agent = agent_of(config, identity);
    let bounds = agent.map(|agent| agent.bounds).unwrap_or_default();
    let Some(purpose) = request.purpose else {
        return match offers.iter().find(|offer| offer.free) {
            Some(offer) => Ok(Allowed {
                access: request.access,
                ttl: offer.ttl,
                bounds,
                approval: offer.approval,
                break_glass: offer.break_glass,
            }),
            None => Err(purpose_needed(&offers, request.resource)),
        };
    };
    let fitting = offers.iter().find(|offer| offer.purposes.contains(&&purpose.id));
    let Some((limits, offer)) = config.purposes.get(&purpose.id).zip(fitting) else {
        let message = format!("`{}` is not open to you for the purpose `{}`", request.resource, purpose.id);
        let mut failure = purpose_needed(&offers, request.resource);
        failure.message = message;
        return Err(failure);
    };
    if limits.access < request.access {
        let message = format!("the purpose `{}` is for reading only", purpose.id);
        return Err(Failure::new(Kind::Denied, message));
    }
    check_reference(purpose, limits)?;
    let ttl = limits.ttl.map_or(offer.ttl, |ttl| ttl.min(offer.ttl));
    Ok(Allowed {
        access: request.access,
        ttl,
        bounds: bounds.and(limits.bounds),
        approval: offer.approval,
        break_glass: offer.break_glass,
    })
}

fn check_reference(purpose: &Purpose, rule: &PurposeRule) -> Result<(), Failure> {
    let Some(pattern) = &rule.reference else { return Ok(()) };
    let wanted = format!("Its pattern is `{}`.", rule.pattern().unwrap_or_default());
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

fn purpose_needed(offers: &[Offer<'_>], name: &ResourceName) -> Failure {
    let mut ids: Vec<&PurposeId> = offers.iter().flat_map(|offer| offer.purposes.iter().copied()).collect();
    ids.sort();
    ids.dedup();
    let failure = Failure::new(Kind::Denied, format!("`{name}` needs a purpose"));
    let Some(first) = ids.first() else { return failure.detail("No purpose is configured that you may state for it.") };
    let list: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
    failure.detail(format!("It is open to you for: {}.", list.join(", "))).hint(format!("add --purpose {first}"))
}

/// The same words whether the resource does not exist or is not for this identity: the difference is nobody's business.
/// Only names the caller may use are suggested.
fn unknown(config: &Config, identity: &Identity, name: &ResourceName) -> Failure {
    let mine = config.resources.iter().filter(|(name, resource)| !offers(config, identity, name, resource).is_empty());
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
    use crate::domain::{Actor, Method, Timestamp};
    use crate::server::config;

    fn config() -> Config {
        parsed("")
    }

    /// The configuration of these tests, and more.
    fn parsed(more: &str) -> Config {
        let charter = std::env::temp_dir().join(format!("gov-access-{}.md", std::process::id()));
        crate::runtime::files::write_private(&charter, b"Makes the weekly report.").unwrap();
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
        let text = format!("{text}{}", more.replace("CHARTER", charter.to_str().unwrap()));
        config::parse(&text, Path::new("gov.yaml"), true).unwrap()
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

    const AGENTS: &str = "
agents:
  bot: {owner: u-9, charter: CHARTER, who: {group: dev}, purposes: [ticket], ttl: 10m, limits: {statement_rows: 50}}
  fixer: {owner: u-9, charter: CHARTER, who: {group: [dev, dba]}, purposes: [ticket, incident], access: write}
  tester: {owner: u-9, charter: CHARTER, who: {group: dev}, resources: [staging-db], purposes: [incident]}
";

    fn through(agents: &[&str], identity: Identity) -> Identity {
        let actor = |id: &&str| Actor { kind: IdentityKind::Agent, id: (*id).to_owned(), charter: None };
        Identity { actors: agents.iter().map(actor).collect(), ..identity }
    }

    #[test]
    fn an_agent_gets_what_it_and_the_person_and_the_purpose_have_in_common() {
        use Access::{Read, Write};
        let config = parsed(AGENTS);
        let ask = |groups: &[&str], agents: &[&str], resource: &str, access, purpose: Option<(&str, Option<&str>)>| {
            let purpose = purpose
                .map(|(id, reference)| Purpose { id: id.parse().unwrap(), reference: reference.map(str::to_owned) });
            let request = Request { resource: &resource.parse().unwrap(), access, purpose: purpose.as_ref() };
            let identity = through(agents, identity("u-1", groups, IdentityKind::Person));
            decide(&config, &identity, request)
                .map(|allowed| (allowed.ttl.as_secs() / 60, allowed.bounds.statement_rows))
                .map_err(|failure| failure.message)
        };
        let no = |text: &str| Err(text.to_owned());
        let ticket = Some(("ticket", Some("T-1")));
        let incident = Some(("incident", None));
        // Neither more time nor more rows than the agent has, and a purpose in any case.
        assert_eq!(ask(&["dev"], &["bot"], "prod-db", Read, ticket), Ok((10, Some(50))));
        assert_eq!(ask(&["dev"], &["bot"], "staging-db", Read, ticket), Ok((10, Some(50))));
        assert_eq!(ask(&["dev"], &["bot"], "staging-db", Read, None), no("`staging-db` needs a purpose"));
        // Not what the person may not.
        assert_eq!(ask(&["dev"], &["fixer"], "prod-db", Read, ticket), Ok((30, None)));
        assert_eq!(
            ask(&["dev"], &["fixer"], "prod-db", Read, incident),
            no("`prod-db` is not open to you for the purpose `incident`")
        );
        assert_eq!(
            ask(&["dev"], &["fixer"], "prod-db", Write, ticket),
            no("`prod-db` is open to you for reading only")
        );
        assert_eq!(ask(&[], &["fixer"], "staging-db", Read, ticket), no("there is no resource `staging-db` for you"));
        // Not what the agent may not: writing unless it is said, other resources, other purposes.
        assert_eq!(ask(&["dev"], &["fixer"], "staging-db", Write, incident), Ok((480, None)));
        assert_eq!(
            ask(&["dev"], &["bot"], "staging-db", Write, ticket),
            no("`staging-db` is open to you for reading only")
        );
        assert_eq!(
            ask(&["dev"], &["bot"], "staging-db", Read, incident),
            no("`staging-db` is not open to you for the purpose `incident`")
        );
        assert_eq!(ask(&["dev"], &["tester"], "prod-db", Read, ticket), no("there is no resource `prod-db` for you"));
        assert_eq!(ask(&["dev"], &["tester"], "staging-db", Read, incident), Ok((480, None)));
        // Not what is for people only.
        assert_eq!(ask(&["dba"], &["fixer"], "prod-db", Write, incident), no("there is no resource `prod-db` for you"));
        // Not through an agent that nobody registered, that may not act for this person, or that hides behind another.
        for agents in [&["ghost"][..], &["Not A Name"], &["bot", "fixer"], &["fixer", "bot"]] {
            let refused = ask(&["dev"], agents, "staging-db", Read, ticket);
            assert_eq!(refused, no("there is no resource `staging-db` for you"), "{agents:?}");
        }
        assert!(!may_act(&config.agents[&"bot".parse().unwrap()], &identity("u-1", &["dba"], IdentityKind::Person)));
    }

    #[test]
    fn purposes_are_for_some_people_and_resources_and_may_be_required() {
        let repair = "{description: d, resources: [staging-db], who: {group: oncall}, limits: {statement_rows: 10, \
                      day: {rows: 100, bytes: 2MiB, time: 1m}}}";
        let alone = format!(
            "server: {{listen: '127.0.0.1:0', data: data}}\nresources: {{staging-db: {{url: 'postgres://u@h/d'}}}}\n\
             purposes: {{repair: {repair}}}\n"
        );
        let mut config = parsed("require_purpose:\n  - {env: staging}\n");
        config.purposes.extend(config::parse(&alone, Path::new("gov.yaml"), true).unwrap().purposes);
        let ask = |groups: &[&str], purpose: Option<&str>| {
            let purpose = purpose.map(|id| Purpose { id: id.parse().unwrap(), reference: None });
            let resource = "staging-db".parse().unwrap();
            let request = Request { resource: &resource, access: Access::Read, purpose: purpose.as_ref() };
            decide(&config, &identity("u-1", groups, IdentityKind::Person), request)
        };
        let refused = ask(&["dev"], None).unwrap_err();
        assert_eq!(refused.message, "`staging-db` needs a purpose");
        assert_eq!(refused.detail.as_deref(), Some("It is open to you for: `incident`, `ticket`."));
        let refused = ask(&["dev"], Some("repair")).unwrap_err();
        assert_eq!(refused.message, "`staging-db` is not open to you for the purpose `repair`");
        let allowed = ask(&["dev", "oncall"], Some("repair")).unwrap();
        assert_eq!(allowed.bounds.statement_rows, Some(10));
        assert_eq!((allowed.bounds.day.rows, allowed.bounds.day.bytes), (Some(100), Some(2 << 20)));
        assert!(ask(&["dev"], Some("incident")).is_ok());
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
