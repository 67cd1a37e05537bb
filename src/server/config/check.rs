//! What `gov.yaml` means: sections → [`Config`]. Goes on after a mistake, so that all of them are told together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use reqwest::Url;

use super::secret::{SecretSource, read_public};
use super::sections::{
    AccessSection, AccessWord, AgentSection, ApprovalsSection, BudgetSection, CredentialWord, DatabaseTlsSection,
    DatabaseTlsWord, DurabilityWord, File, IdentitySection, KindWord, LimitsSection, MaskingWord, OverWord,
    PlatformWord, PurposeSection, RawSqlWord, ResourceSection, ServerTlsSection, UserSection, WebhookSection,
    WebhookWord, WhoSection, WitnessSection, WorkloadSection,
};
use super::values::{LabelName, Length, OneOrMany, Parsed, Unique, UserName};
use super::{
    AccessRule, Agent, ApprovalRules, Bounds, Config, CredentialKind, DatabaseTls, Durability, IdentitySource,
    KEEP_DEFAULT, MaskingWish, Over, Provider, PurposeRule, Reach, Resource, Roles, TTL_DEFAULT, TTL_MAX, TlsIdentity,
    User, WAIT_DEFAULT, Webhook, WebhookForm, Who, Witness, Workload, WorkloadKeys, inline, place, upstream,
};
use crate::audit::{Algorithm, NoteKey};
use crate::domain::{
    Access, AgentId, Budget, Duration, IdentityKind, Labels, PurposeId, ResourceName, Secret, WorkloadId,
};
use crate::engine::PolicySource;
use crate::identity::claims::ClaimRules;
use crate::identity::jwt::KeySet;
use crate::identity::token::LIFETIME_MAX;
use crate::identity::workload::{Platform, WorkloadRule};
use crate::runtime::http;
use crate::runtime::tls::{CertifiedPem, Trust};
use crate::server::nearest::nearest;

/// What a pass over the file has found wrong so far.
pub(super) struct Check<'a> {
    text: &'a str,
    folder: &'a Path,
    /// The files that hold keys and passwords are not here.
    offline: bool,
    pub(super) mistakes: Vec<Mistake>,
}

/// A mistake in a configuration, with where it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// From 1; 0 when only the line is known.
    pub(crate) column: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl<'a> Check<'a> {
    pub(super) fn new(text: &'a str, folder: &'a Path) -> Self {
        Self { text, folder, offline: false, mistakes: Vec::new() }
    }

    /// A pass that looks at no other file: what stands in them is taken to be right.
    pub(super) fn offline(text: &'a str) -> Self {
        Self { offline: true, ..Self::new(text, Path::new("")) }
    }

    fn mistake(&mut self, path: &[&str], message: impl Into<String>) {
        self.mistakes.push(Mistake {
            line: place::line(self.text, path),
            column: 0,
            message: message.into(),
            hint: None,
        });
    }

    fn mistake_with_hint(&mut self, path: &[&str], message: impl Into<String>, hint: impl Into<String>) {
        self.mistake(path, message);
        if let Some(last) = self.mistakes.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    /// The configuration, as far as it can be made. It is one only when there are no mistakes.
    pub(super) fn config(&mut self, file: File, development: bool) -> Option<Config> {
        let resources = self.resources(file.resources.0);
        let mut policy = file.policy;
        self.confine(&file.purposes.0, &mut policy);
        let purposes = self.purposes(file.purposes.0, &resources);
        let agents = self.agents(file.agents.0, &resources, &purposes);
        let access = self.access(file.access, &resources, &purposes);
        let approvals = self.approvals(file.approvals, &file.operators);
        let identity = self.identity(file.identity, file.users.0, development);
        let workloads = self.workloads(file.workloads.0, file.server.url.as_deref());
        let listen = file.server.listen.0;
        let url = self.server_url(file.server.url, listen);
        let tls = self.server_tls(file.server.tls, listen);
        let key = file.server.key.and_then(|source| self.key(&source));
        let data = self.relative(&file.server.data);
        let witnesses = file.audit.witnesses.iter().filter_map(|witness| self.witness(witness)).collect();
        let durability = match file.audit.durability.unwrap_or(DurabilityWord::Synced) {
            DurabilityWord::Written => Durability::Written,
            DurabilityWord::Synced => Durability::Synced,
        };
        Some(Config {
            listen,
            url: url?,
            tls: tls?,
            data,
            key,
            identity: identity?,
            durability,
            witnesses,
            raw_texts: matches!(file.audit.raw_sql, RawSqlWord::Encrypted),
            resources,
            purposes,
            require_purpose: file.require_purpose.into_iter().map(labels).collect(),
            agents,
            workloads,
            access,
            approvals,
            operators: file.operators,
            auditors: file.auditors,
            policy,
            masks: file.masks,
        })
    }

    /// Where nobody else is named, operators approve.
    fn approvals(&mut self, section: ApprovalsSection, operators: &[String]) -> ApprovalRules {
        let webhooks = section.webhooks.iter().filter_map(|hook| self.webhook(hook)).collect();
        ApprovalRules {
            approvers: section.approvers.map_or_else(|| operators.to_vec(), |groups| groups.0),
            quorum: section.quorum.map_or(1, std::num::NonZeroUsize::get),
            wait: section.wait.map_or(WAIT_DEFAULT, |length| length.0),
            keep: section.keep.map_or(KEEP_DEFAULT, |length| length.0),
            webhooks,
        }
    }

    fn witness(&mut self, witness: &WitnessSection) -> Option<Witness> {
        let path = ["audit", "witnesses"];
        let url = Url::parse(&witness.url).ok().filter(http::is_private);
        if url.is_none() {
            let message = format!("`{}` is not the address of a witness", witness.url);
            self.mistake_with_hint(&path, message, "write an `https://` URL");
        }
        let key = NoteKey::parse(&witness.key).ok().filter(|key| key.algorithm == Algorithm::Cosignature);
        if key.is_none() {
            let message = format!("`{}` is not the key of a witness", witness.key);
            self.mistake_with_hint(&path, message, "`gov witness` prints its key when it starts");
        }
        let trust = match &witness.ca {
            None => Trust::System,
            Some(ca) => Trust::SystemAnd(self.file(&path, ca)?),
        };
        Some(Witness { url: url?, key: key?, trust })
    }

    fn webhook(&mut self, hook: &WebhookSection) -> Option<Webhook> {
        let path = ["approvals", "webhooks"];
        let secret = self.secret(&path, &hook.secret);
        let url = Url::parse(&hook.url).ok().filter(http::is_private);
        if url.is_none() {
            self.mistake_with_hint(
                &path,
                format!("`{}` is not an address for a webhook", hook.url),
                "write an `https://` URL",
            );
        }
        let form = match hook.form.unwrap_or(WebhookWord::Json) {
            WebhookWord::Json => WebhookForm::Json,
            WebhookWord::Slack => WebhookForm::Slack,
        };
        Some(Webhook { url: url?, secret: secret?, form })
    }

    fn relative(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// The server's own URL: `https://host[:port]`, no more, because proofs of possession and tokens name it.
    fn server_url(&mut self, url: Option<String>, listen: SocketAddr) -> Option<Option<String>> {
        let path = ["server", "url"];
        let Some(url) = url else {
            if listen.ip().is_loopback() {
                return Some(None);
            }
            self.mistake_with_hint(
                &["server"],
                "`server.url` is missing",
                "add the URL under which clients reach this server: `url: https://gov.example.com`",
            );
            return None;
        };
        let origin = Url::parse(&url).ok().filter(|parsed| parsed.scheme() == "https").and_then(|parsed| {
            let origin = parsed.origin().ascii_serialization();
            (url.trim_end_matches('/') == origin).then_some(origin)
        });
        if origin.is_none() {
            self.mistake_with_hint(
                &path,
                format!("`{url}` is not the URL of a server"),
                "write `https://` and a host, in lower case, without a path",
            );
        }
        origin.map(Some)
    }

    fn server_tls(&mut self, tls: Option<ServerTlsSection>, listen: SocketAddr) -> Option<TlsIdentity> {
        let Some(tls) = tls else {
            if listen.ip().is_loopback() {
                return Some(TlsIdentity::Loopback);
            }
            self.mistake_with_hint(
                &["server"],
                "`server.tls` is missing",
                "only a server on loopback can make a certificate by itself; name yours under `certificate` and `key`",
            );
            return None;
        };
        let chain = self.file(&["server", "tls", "certificate"], &tls.certificate)?;
        let key = self.secret(&["server", "tls", "key"], &tls.key)?;
        Some(TlsIdentity::Given(CertifiedPem { chain, key }))
    }

    /// A key of 32 bytes, in base64.
    fn key(&mut self, source: &SecretSource) -> Option<Secret<[u8; 32]>> {
        let path = ["server", "key"];
        if self.offline {
            return Some(Secret::new([0; 32]));
        }
        let text = self.secret(&path, source)?;
        let mut key = [0u8; 32];
        let decoded = base64::engine::general_purpose::STANDARD.decode_slice(text.expose(), &mut key);
        if decoded == Ok(32) {
            return Some(Secret::new(key));
        }
        self.mistake_with_hint(&path, "the key is not 32 bytes in base64", "make one with: openssl rand -base64 32");
        None
    }

    fn identity(
        &mut self,
        section: Option<IdentitySection>,
        users: BTreeMap<UserName, UserSection>,
        development: bool,
    ) -> Option<IdentitySource> {
        if development && users.is_empty() {
            return Some(IdentitySource::BuiltIn(inline::users()));
        }
        if development {
            let users = users.into_iter().map(|(name, user)| {
                let shown = user.name.unwrap_or_else(|| name.0.clone());
                (name.0, User { name: shown, email: user.email, groups: user.groups })
            });
            return Some(IdentitySource::BuiltIn(users.collect()));
        }
        if !users.is_empty() {
            self.mistake_with_hint(
                &["users"],
                "`users` are for the built-in issuer only",
                "remove them, or start the server with --dev",
            );
        }
        let Some(section) = section else {
            self.mistake_with_hint(
                &[],
                "`identity` is missing",
                "name your identity provider, or start the server with --dev to try gov out",
            );
            return None;
        };
        let private = Url::parse(&section.issuer).is_ok_and(|url| http::is_private(&url));
        if !private {
            self.mistake(&["identity", "issuer"], format!("`{}` is not an https URL", section.issuer));
        }
        let trust = match &section.ca {
            None => Trust::System,
            Some(ca) => Trust::SystemAnd(self.file(&["identity", "ca"], ca)?),
        };
        let usual = ["openid", "profile", "email", "offline_access"];
        Some(IdentitySource::Provider(Provider {
            scopes: section.scopes.unwrap_or_else(|| usual.map(str::to_owned).to_vec()),
            resource: section.resource,
            trust,
            rules: ClaimRules {
                issuer: section.issuer,
                client_id: section.client_id,
                audience: section.audience,
                groups_claim: section.groups_claim.unwrap_or_else(|| "groups".to_owned()),
                name_claim: section.name_claim,
            },
        }))
    }

    fn resources(&mut self, sections: BTreeMap<ResourceName, ResourceSection>) -> BTreeMap<ResourceName, Resource> {
        let checked = sections.into_iter().filter_map(|(name, section)| {
            let resource = self.resource(&name, section)?;
            Some((name, resource))
        });
        checked.collect()
    }

    fn resource(&mut self, name: &ResourceName, section: ResourceSection) -> Option<Resource> {
        let path = ["resources", name.as_str()];
        let found = match upstream::parse(&section.url) {
            Ok(found) => found,
            Err(error) => {
                self.mistake_with_hint(&["resources", name.as_str(), "url"], error.to_string(), error.hint());
                return None;
            }
        };
        if !found.options.is_empty() {
            self.mistake_with_hint(
                &["resources", name.as_str(), "url"],
                "options in a URL are for the command line",
                "write them as keys of their own: `labels`, `tls`, `roles`",
            );
        }
        let password = match &section.password {
            None => None,
            Some(source) => Some(self.secret(&[path.as_slice(), &["password"]].concat(), source)?),
        };
        let section_tls = section.tls.unwrap_or(DatabaseTlsSection { mode: None, ca: None });
        let ca = match &section_tls.ca {
            None => None,
            Some(ca) => Some(self.file(&[path.as_slice(), &["tls", "ca"]].concat(), ca)?),
        };
        Some(Resource {
            tls: database_tls(section_tls.mode, ca, &found.host),
            protocol: found.protocol,
            host: found.host,
            port: found.port,
            user: found.user,
            password,
            database: found.database,
            labels: labels(section.labels),
            credential: match section.credential.unwrap_or(CredentialWord::PostgresRole) {
                CredentialWord::PostgresRole => CredentialKind::PostgresRole,
                CredentialWord::Static => CredentialKind::Static,
            },
            roles: Roles { read: section.roles.read, write: section.roles.write, owner: section.roles.owner },
            masking: match section.masking {
                None => MaskingWish::default(),
                Some(MaskingWord::Database) => MaskingWish::Database,
                Some(MaskingWord::Wire) => MaskingWish::Wire,
                Some(MaskingWord::Auto) => MaskingWish::Auto,
            },
        })
    }

    fn purposes(
        &mut self,
        sections: BTreeMap<PurposeId, PurposeSection>,
        resources: &BTreeMap<ResourceName, Resource>,
    ) -> BTreeMap<PurposeId, PurposeRule> {
        let mut out = BTreeMap::new();
        for (id, section) in sections {
            let reference = match section.reference.as_deref().map(whole_match) {
                None => None,
                Some(Ok(pattern)) => Some(pattern),
                Some(Err(error)) => {
                    let path = ["purposes", id.as_str(), "reference"];
                    let why = error.to_string().lines().last().unwrap_or_default().to_owned();
                    self.mistake(&path, format!("the pattern cannot be read: {why}"));
                    continue;
                }
            };
            let ttl = section.ttl.map(|ttl| self.ttl(&["purposes", id.as_str(), "ttl"], ttl));
            let access = section.access.map_or(Access::Write, access);
            let reach = self.reach(&["purposes", id.as_str()], section.resources, section.labels, resources);
            let rule = PurposeRule {
                description: section.description,
                reference,
                access,
                ttl,
                reach,
                who: who(section.who),
                bounds: bounds(&section.limits),
            };
            out.insert(id, rule);
        }
        out
    }

    /// Makes part of the policy what purposes say about statements.
    fn confine(&mut self, sections: &BTreeMap<PurposeId, PurposeSection>, policy: &mut PolicySource) {
        for (id, section) in sections {
            for tag in &section.tags.0 {
                if !policy.tags().contains(tag.as_str()) {
                    let path = ["purposes", id.as_str(), "tags"];
                    self.unknown(&path, "tag", tag, policy.tags().into_iter());
                }
            }
            let operations = section.operations.0.iter().copied().collect();
            policy.confine(id, &operations, &section.tags.0.iter().cloned().collect());
        }
    }

    fn agents(
        &mut self,
        sections: BTreeMap<AgentId, AgentSection>,
        resources: &BTreeMap<ResourceName, Resource>,
        purposes: &BTreeMap<PurposeId, PurposeRule>,
    ) -> BTreeMap<AgentId, Agent> {
        let mut out = BTreeMap::new();
        for (id, section) in sections {
            let path = ["agents", id.as_str()];
            let below = |key| [path.as_slice(), &[key]].concat();
            let who = who(section.who);
            if who == Who::default() {
                self.mistake_with_hint(&below("who"), "this would be for everybody", "name a `group` it may act for");
            }
            let wanted = self.wanted(&path, section.purposes, purposes);
            if wanted.is_empty() {
                let hint = "name at least one of `purposes`: without one it gets nothing";
                self.mistake_with_hint(&path, "this agent has no purpose", hint);
            }
            let reach = self.reach(&path, section.resources, section.labels, resources);
            let ttl = section.ttl.map(|ttl| self.ttl(&below("ttl"), ttl));
            let Some(charter) = self.file(&below("charter"), &section.charter) else { continue };
            let agent = Agent {
                owner: section.owner,
                charter: crate::audit::digest(charter.as_bytes()),
                who,
                reach,
                purposes: wanted,
                access: section.access.map_or(Access::Read, access),
                ttl,
                bounds: bounds(&section.limits),
            };
            out.insert(id, agent);
        }
        out
    }

    fn workloads(
        &mut self,
        sections: BTreeMap<WorkloadId, WorkloadSection>,
        server: Option<&str>,
    ) -> BTreeMap<WorkloadId, Workload> {
        let mut out = BTreeMap::new();
        for (id, section) in sections {
            out.extend(self.workload(&id, section, server).map(|workload| (id, workload)));
        }
        out
    }

    fn workload(&mut self, id: &WorkloadId, section: WorkloadSection, server: Option<&str>) -> Option<Workload> {
        let path = ["workloads", id.as_str()];
        let below = |key| [path.as_slice(), &[key]].concat();
        let platform = platform(section.platform);
        let claims: BTreeMap<_, _> = section.claims.0.into_iter().map(|(name, value)| (name, value.0)).collect();
        if !platform.immutable().iter().any(|name| claims.contains_key(*name)) {
            let names: Vec<_> = platform.immutable().iter().map(|name| format!("`{name}`")).collect();
            let message = "nothing here is never given to another: names can be registered again";
            self.mistake_with_hint(&below("claims"), message, format!("add {}", names.join(" or ")));
        }
        for (name, value) in claims.iter().filter(|(_, value)| value.contains('*')) {
            let message = format!("`{value}` is compared whole: `*` stands for nothing but itself");
            self.mistake_with_hint(
                &below("claims"),
                message,
                format!("write the one value of `{name}`, or another rule"),
            );
        }
        let issuer = section.issuer.or_else(|| platform.issuer().map(str::to_owned));
        let private = issuer.as_deref().is_some_and(|url| Url::parse(url).is_ok_and(|url| http::is_private(&url)));
        if !private {
            let hint = "write the `iss` of its tokens, an https URL, character by character";
            self.mistake_with_hint(&below("issuer"), "the issuer of these tokens is not known", hint);
        }
        let audience = section.audience.or_else(|| server.map(str::to_owned));
        if audience.is_none() {
            let hint = "write the `aud` for which jobs ask: best the URL of this server";
            self.mistake_with_hint(&path, "`audience` is missing", hint);
        }
        let ttl = section.ttl.map_or(LIFETIME_MAX, |ttl| ttl.0);
        if ttl > LIFETIME_MAX {
            let message = "a workload may not be logged in for longer than 15 minutes";
            self.mistake_with_hint(&below("ttl"), message, "write `15m` or less; a longer job logs in again");
        }
        let keys = match (&section.keys, &section.ca) {
            (Some(_), _) if self.offline => WorkloadKeys::Given(KeySet::default()),
            (Some(file), _) => {
                let text = self.file(&below("keys"), file)?;
                let keys = KeySet::parse(text.as_bytes()).unwrap_or_default();
                if keys.is_empty() {
                    self.mistake(&below("keys"), "there is no key in this file that could be used");
                }
                WorkloadKeys::Given(keys)
            }
            (None, Some(ca)) => WorkloadKeys::Published(Trust::SystemAnd(self.file(&below("ca"), ca)?)),
            (None, None) => WorkloadKeys::Published(Trust::System),
        };
        let rule = WorkloadRule { platform, issuer: issuer?, audience: audience?, claims, groups: section.groups, ttl };
        Some(Workload { rule, keys })
    }

    /// Resources by name and label, under a place of the file.
    fn reach(
        &mut self,
        path: &[&str],
        names: OneOrMany<Parsed<ResourceName>>,
        wanted: Unique<LabelName, String>,
        known: &BTreeMap<ResourceName, Resource>,
    ) -> Reach {
        let names: Vec<ResourceName> = names.0.into_iter().map(|name| name.0).collect();
        for (place, name) in names.iter().enumerate().filter(|(_, name)| !known.contains_key(*name)) {
            let place = place.to_string();
            let path = [path, &["resources", &place]].concat();
            self.unknown(&path, "resource", name.as_str(), known.keys().map(ResourceName::as_str));
        }
        Reach { resources: names, labels: labels(wanted) }
    }

    /// Purposes by name, under a place of the file.
    fn wanted(
        &mut self,
        path: &[&str],
        names: OneOrMany<Parsed<PurposeId>>,
        known: &BTreeMap<PurposeId, PurposeRule>,
    ) -> Vec<PurposeId> {
        let names: Vec<PurposeId> = names.0.into_iter().map(|name| name.0).collect();
        for (place, name) in names.iter().enumerate().filter(|(_, name)| !known.contains_key(*name)) {
            let place = place.to_string();
            let path = [path, &["purposes", &place]].concat();
            self.unknown(&path, "purpose", name.as_str(), known.keys().map(PurposeId::as_str));
        }
        names
    }

    fn access(
        &mut self,
        sections: Vec<AccessSection>,
        resources: &BTreeMap<ResourceName, Resource>,
        purposes: &BTreeMap<PurposeId, PurposeRule>,
    ) -> Vec<AccessRule> {
        let mut out = Vec::new();
        for (index, section) in sections.into_iter().enumerate() {
            let index = index.to_string();
            let who = who(section.who);
            if who == Who::default() {
                self.mistake_with_hint(&["access", &index, "who"], "this would be everybody", "name a `group`");
            }
            let path = ["access", &index];
            let reach = self.reach(&path, section.resources, section.labels, resources);
            if reach == Reach::default() {
                let hint = "name `resources`, or the `labels` they carry";
                self.mistake_with_hint(&path, "this would be every resource", hint);
            }
            let wanted = self.wanted(&path, section.purposes, purposes);
            let ttl = section.ttl.map_or(TTL_DEFAULT, |ttl| self.ttl(&["access", &index, "ttl"], ttl));
            let break_glass = section.break_glass.map(|length| self.ttl(&["access", &index, "break_glass"], length));
            if break_glass.is_some() && !section.approval {
                let path = ["access", &index, "break_glass"];
                self.mistake_with_hint(
                    &path,
                    "this rule asks for no approval that could be gone without",
                    "add `approval: true`",
                );
            }
            let (approval, access) = (section.approval, access(section.access));
            out.push(AccessRule { who, reach, access, purposes: wanted, ttl, approval, break_glass });
        }
        out
    }

    fn unknown<'k>(&mut self, path: &[&str], what: &str, name: &str, known: impl Iterator<Item = &'k str>) {
        let message = format!("there is no {what} `{name}`");
        match nearest(name, known) {
            Some(meant) => self.mistake_with_hint(path, message, format!("did you mean `{meant}`?")),
            None => self.mistake(path, message),
        }
    }

    fn ttl(&mut self, path: &[&str], ttl: Length) -> Duration {
        if ttl.0 > TTL_MAX {
            self.mistake_with_hint(path, "a session may not be longer than 12 hours", "write `12h` or less");
        }
        ttl.0
    }

    /// A file everybody may read.
    fn file(&mut self, path: &[&str], file: &Path) -> Option<String> {
        if self.offline {
            return Some(String::new());
        }
        let read = read_public(self.relative(file));
        read.map_err(|error| self.mistake(path, error.to_string())).ok()
    }

    fn secret(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret<String>> {
        if self.offline {
            return Some(Secret::new(String::new()));
        }
        source.read(self.folder).map_err(|error| self.mistake(path, error.to_string())).ok()
    }
}

/// TLS with the name checked, unless the database is on this machine or it was turned off by name.
pub(super) fn database_tls(mode: Option<DatabaseTlsWord>, ca: Option<String>, host: &str) -> DatabaseTls {
    let usual = if upstream::is_loopback(host) && ca.is_none() {
        DatabaseTlsWord::Disable
    } else {
        DatabaseTlsWord::VerifyFull
    };
    match mode.unwrap_or(usual) {
        DatabaseTlsWord::Disable => DatabaseTls::Off,
        DatabaseTlsWord::VerifyFull => DatabaseTls::Verified(ca.map_or(Trust::System, Trust::Only)),
    }
}

/// A pattern that must match a whole text: a ticket number with something behind it is not a ticket number.
fn whole_match(pattern: &str) -> Result<regex::Regex, regex::Error> {
    // First by itself, so that a stray bracket cannot reach into what is put around it.
    regex::Regex::new(pattern)?;
    regex::Regex::new(&format!("^(?:{pattern})$"))
}

fn labels(labels: Unique<LabelName, String>) -> Labels {
    labels.0.into_iter().map(|(name, value)| (name.0, value)).collect()
}

fn access(word: AccessWord) -> Access {
    match word {
        AccessWord::Read => Access::Read,
        AccessWord::Write => Access::Write,
    }
}

fn who(section: WhoSection) -> Who {
    Who {
        groups: section.group.0,
        subjects: section.subject.0,
        kinds: section.kind.0.into_iter().map(identity_kind).collect(),
    }
}

fn bounds(section: &LimitsSection) -> Bounds {
    let budget = |section: &BudgetSection| Budget {
        rows: section.rows.map(NonZeroU64::get),
        bytes: section.bytes.map(|size| size.0),
        statements: section.statements.map(NonZeroU64::get),
        lookups: section.lookups.map(NonZeroU64::get),
        time: section.time.map(|length| length.0),
    };
    Bounds {
        statement_rows: section.statement_rows.map(NonZeroU64::get),
        session: budget(&section.session),
        day: budget(&section.day),
        over: section.over.map(|word| match word {
            OverWord::End => Over::End,
            OverWord::Hold => Over::Hold,
        }),
    }
}

fn platform(word: PlatformWord) -> Platform {
    match word {
        PlatformWord::Github => Platform::Github,
        PlatformWord::Gitlab => Platform::Gitlab,
        PlatformWord::Kubernetes => Platform::Kubernetes,
        PlatformWord::Oidc => Platform::Oidc,
    }
}

fn identity_kind(word: KindWord) -> IdentityKind {
    match word {
        KindWord::Person => IdentityKind::Person,
        KindWord::Workload => IdentityKind::Workload,
        KindWord::Agent => IdentityKind::Agent,
    }
}
