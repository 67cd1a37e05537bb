//! `gov.yaml` → [`Config`]. Every mistake has a line and a hint; unknown keys are mistakes, because a guard whose
//! setting is misspelt guards nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use reqwest::Url;
use serde::Deserialize;
use serde::de::{self, DeserializeSeed as _, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::{
    AccessRule, Config, CredentialKind, DatabaseTls, Durability, IdentitySource, Provider, PurposeRule, Resource,
    Roles, TTL_DEFAULT, TTL_MAX, TlsIdentity, User, Who, inline, place, upstream,
};
use crate::domain::{Access, Duration, Failure, IdentityKind, Kind, Labels, PurposeId, ResourceName, Secret};
use crate::identity::claims::ClaimRules;
use crate::runtime::tls::{CertifiedPem, Trust};
use crate::runtime::{env, files, http};
use crate::server::nearest::nearest;

/// Longest configuration file, in bytes: ten thousand resources.
const FILE_MAX: u64 = 8 * 1024 * 1024;

/// Longest secret or certificate file, in bytes.
const SECRET_MAX: u64 = 64 * 1024;

/// Reads and checks a configuration file. With `development`, the identity section is left to the built-in issuer.
pub(crate) fn read(path: &Path, development: bool) -> Result<Config, Failure> {
    let shown = path.display();
    let text = files::read_limited(path, FILE_MAX)
        .map_err(|error| Failure::new(Kind::Usage, format!("`{shown}` cannot be read")).cause(error))?
        .ok_or_else(|| {
            Failure::new(Kind::Usage, format!("there is no `{shown}`"))
                .hint("begin with: gov server --print-example-config > gov.yaml")
        })?;
    let text =
        String::from_utf8(text).map_err(|_| Failure::new(Kind::Usage, format!("`{shown}` is not text in UTF-8")))?;
    parse(&text, path, development)
}

/// Checks the text of a configuration file. Paths in it are relative to the folder of `path`.
pub(crate) fn parse(text: &str, path: &Path, development: bool) -> Result<Config, Failure> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy()).into_owned();
    let file: File = serde_yaml::from_str(text).map_err(|error| not_of_the_form(&name, &error))?;
    let mut check = Check { text, folder: path.parent().unwrap_or_else(|| Path::new("")), mistakes: Vec::new() };
    let config = check.config(file, development);
    let mut mistakes = check.mistakes;
    mistakes.sort_by_key(|mistake| mistake.line);
    let mut mistakes = mistakes.into_iter();
    match (mistakes.next(), config) {
        (None, Some(config)) => Ok(config),
        (None, None) => Err(Failure::new(Kind::Internal, format!("`{name}` was refused without a reason"))),
        (Some(first), _) => {
            let more: Vec<_> = mistakes.map(|more| format!("{name}:{}: {}", more.line, more.message)).collect();
            let mut failure = Failure::new(Kind::Usage, format!("{name}:{}: {}", first.line, first.message));
            failure.hint = first.hint;
            failure.detail = (!more.is_empty()).then(|| format!("Also: {}.", more.join("; ")));
            Err(failure)
        }
    }
}

/// A mistake that the YAML parser or a type noticed.
fn not_of_the_form(name: &str, error: &serde_yaml::Error) -> Failure {
    let text = error.to_string();
    let line = error.location().map_or(1, |location| location.line());
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let failure = Failure::new(Kind::Usage, format!("{name}:{line}: {message}"));
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next().filter(|_| message.contains("unknown field") || message.contains("unknown variant"));
    match typed.and_then(|typed| nearest(typed, words)) {
        Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
        None => failure,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: ServerSection,
    identity: Option<IdentitySection>,
    #[serde(default)]
    audit: AuditSection,
    #[serde(default)]
    resources: Unique<ResourceName, ResourceSection>,
    #[serde(default)]
    purposes: Unique<PurposeId, PurposeSection>,
    #[serde(default)]
    access: Vec<AccessSection>,
    /// Groups whose members see and end everybody's sessions.
    #[serde(default)]
    operators: Vec<String>,
    #[serde(default)]
    rules: serde_yaml::Value,
    #[serde(default)]
    masks: serde_yaml::Value,
    #[serde(default)]
    users: Unique<UserName, UserSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerSection {
    listen: Parsed<SocketAddr>,
    url: Option<String>,
    tls: Option<ServerTlsSection>,
    data: PathBuf,
    key: Option<SecretSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerTlsSection {
    certificate: PathBuf,
    key: SecretSource,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentitySection {
    issuer: String,
    client_id: String,
    scopes: Option<Vec<String>>,
    audience: Option<String>,
    resource: Option<String>,
    groups_claim: Option<String>,
    name_claim: Option<String>,
    ca: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditSection {
    durability: Option<DurabilityWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum DurabilityWord {
    Written,
    Synced,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceSection {
    url: String,
    password: Option<SecretSource>,
    tls: Option<DatabaseTlsSection>,
    #[serde(default)]
    labels: Unique<LabelName, String>,
    credential: Option<CredentialWord>,
    #[serde(default)]
    roles: RolesSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatabaseTlsSection {
    mode: Option<DatabaseTlsWord>,
    ca: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DatabaseTlsWord {
    VerifyFull,
    Disable,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CredentialWord {
    PostgresRole,
    Static,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolesSection {
    read: Option<String>,
    write: Option<String>,
    owner: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeSection {
    description: String,
    reference: Option<String>,
    access: Option<AccessWord>,
    ttl: Option<Length>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum AccessWord {
    Read,
    Write,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessSection {
    who: WhoSection,
    #[serde(default)]
    resources: OneOrMany<Parsed<ResourceName>>,
    #[serde(default)]
    labels: Unique<LabelName, String>,
    access: AccessWord,
    #[serde(default)]
    purposes: OneOrMany<Parsed<PurposeId>>,
    ttl: Option<Length>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhoSection {
    #[serde(default)]
    group: OneOrMany<String>,
    #[serde(default)]
    subject: OneOrMany<String>,
    #[serde(default)]
    kind: OneOrMany<KindWord>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindWord {
    Person,
    Workload,
    Agent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserSection {
    name: Option<String>,
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

/// What a pass over the file has found wrong so far.
struct Check<'a> {
    text: &'a str,
    folder: &'a Path,
    mistakes: Vec<Mistake>,
}

struct Mistake {
    line: usize,
    message: String,
    hint: Option<String>,
}

impl Check<'_> {
    fn mistake(&mut self, path: &[&str], message: impl Into<String>) {
        self.mistakes.push(Mistake { line: place::line(self.text, path), message: message.into(), hint: None });
    }

    fn mistake_with_hint(&mut self, path: &[&str], message: impl Into<String>, hint: impl Into<String>) {
        self.mistake(path, message);
        if let Some(last) = self.mistakes.last_mut() {
            last.hint = Some(hint.into());
        }
    }

    fn config(&mut self, file: File, development: bool) -> Option<Config> {
        let purposes = self.purposes(file.purposes.0);
        let resources = self.resources(file.resources.0);
        let access = self.access(file.access, &resources, &purposes);
        let identity = self.identity(file.identity, file.users.0, development);
        let listen = file.server.listen.0;
        let url = self.server_url(file.server.url, listen);
        let tls = self.server_tls(file.server.tls, listen);
        let key = file.server.key.and_then(|source| self.key(&source));
        let data = self.relative(&file.server.data);
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
            resources,
            purposes,
            access,
            operators: file.operators,
            rules: file.rules,
            masks: file.masks,
        })
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
        })
    }

    fn purposes(&mut self, sections: BTreeMap<PurposeId, PurposeSection>) -> BTreeMap<PurposeId, PurposeRule> {
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
            out.insert(id, PurposeRule { description: section.description, reference, access, ttl });
        }
        out
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
            let who = Who {
                groups: section.who.group.0,
                subjects: section.who.subject.0,
                kinds: section.who.kind.0.into_iter().map(identity_kind).collect(),
            };
            if who == Who::default() {
                self.mistake_with_hint(&["access", &index, "who"], "this would be everybody", "name a `group`");
            }
            let names: Vec<ResourceName> = section.resources.0.into_iter().map(|name| name.0).collect();
            let labels = labels(section.labels);
            if names.is_empty() && labels.is_empty() {
                let hint = "name `resources`, or the `labels` they carry";
                self.mistake_with_hint(&["access", &index], "this would be every resource", hint);
            }
            for (place, name) in names.iter().enumerate().filter(|(_, name)| !resources.contains_key(*name)) {
                let known = resources.keys().map(ResourceName::as_str);
                let path = ["access", &index, "resources", &place.to_string()];
                self.unknown(&path, "resource", name.as_str(), known);
            }
            let wanted: Vec<PurposeId> = section.purposes.0.into_iter().map(|purpose| purpose.0).collect();
            for (place, purpose) in wanted.iter().enumerate().filter(|(_, purpose)| !purposes.contains_key(*purpose)) {
                let known = purposes.keys().map(PurposeId::as_str);
                let path = ["access", &index, "purposes", &place.to_string()];
                self.unknown(&path, "purpose", purpose.as_str(), known);
            }
            let ttl = section.ttl.map_or(TTL_DEFAULT, |ttl| self.ttl(&["access", &index, "ttl"], ttl));
            out.push(AccessRule {
                who,
                resources: names,
                labels,
                access: access(section.access),
                purposes: wanted,
                ttl,
            });
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
        let file = self.relative(file);
        let why = match files::read_limited(&file, SECRET_MAX) {
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => return Some(text),
                Err(_) => "it is not text".to_owned(),
            },
            Ok(None) => "it does not exist".to_owned(),
            Err(error) => error.to_string(),
        };
        self.mistake(path, format!("`{}` cannot be used: {why}", file.display()));
        None
    }

    fn secret(&mut self, path: &[&str], source: &SecretSource) -> Option<Secret<String>> {
        match read_secret(source, self.folder) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.mistake(path, why);
                None
            }
        }
    }
}

/// The secret itself, without the line end that editors add; or why it cannot be had.
pub(super) fn read_secret(source: &SecretSource, folder: &Path) -> Result<Secret<String>, String> {
    match source {
        SecretSource::Env(name) => {
            env::var(name).map(Secret::new).ok_or_else(|| format!("the environment variable `{name}` is not set"))
        }
        SecretSource::File(file) => {
            let file = folder.join(file);
            let why = match files::read_secret(&file, SECRET_MAX) {
                Ok(Some(bytes)) => {
                    let bytes = Zeroizing::new(bytes);
                    match std::str::from_utf8(&bytes) {
                        Ok(text) => return Ok(Secret::new(text.trim_end_matches(['\n', '\r']).to_owned())),
                        Err(_) => "it is not text".to_owned(),
                    }
                }
                Ok(None) => "it does not exist".to_owned(),
                Err(error) => error.to_string(),
            };
            Err(format!("`{}` cannot be used: {why}", file.display()))
        }
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

fn identity_kind(word: KindWord) -> IdentityKind {
    match word {
        KindWord::Person => IdentityKind::Person,
        KindWord::Workload => IdentityKind::Workload,
        KindWord::Agent => IdentityKind::Agent,
    }
}

/// Where a secret is: never in the file itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretSource {
    File(PathBuf),
    Env(String),
}

impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        /// Says what to write and never what was written: it may be the secret.
        fn refused<T, E: de::Error>() -> Result<T, E> {
            Err(E::custom("a secret is not written here: use `{file: PATH}` or `{env: NAME}`"))
        }

        impl<'de> Visitor<'de> for Reader {
            type Value = SecretSource;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`{file: PATH}` or `{env: NAME}`")
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretSource, E> {
                refused()
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretSource, A::Error> {
                let source = match map.next_key::<String>()?.as_deref() {
                    Some("file") => SecretSource::File(map.next_value()?),
                    Some("env") => SecretSource::Env(map.next_value()?),
                    Some(_) | None => return refused(),
                };
                if map.next_key::<de::IgnoredAny>()?.is_some() { refused() } else { Ok(source) }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// Reads a text and makes a value of it, complaining while the parser still stands on the text: that is what gives
/// the complaint its line.
struct FromText<F>(F);

impl<'de, T, F: FnOnce(&str) -> Result<T, String>> de::DeserializeSeed<'de> for FromText<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for FromText<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("`{text}`: {error}"))
}

/// A value given as text and parsed by its own rules.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FromText(parsed).deserialize(deserializer).map(Self)
    }
}

/// A length of time such as `90s`, `15m`, `1h30m`.
#[derive(Clone, Copy)]
struct Length(Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let found = crate::domain::parse_duration(text).filter(|length| !length.is_zero());
            found
                .map(Self)
                .ok_or_else(|| format!("`{text}` is not a length of time: write for example `15m` or `1h30m`"))
        };
        FromText(read).deserialize(deserializer)
    }
}

/// One value, or a list of them.
struct OneOrMany<T>(Vec<T>);

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list")
            }

            fn visit_str<E: de::Error>(self, one: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(de::value::StrDeserializer::new(one)).map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany<T>, A::Error> {
                let mut out = Vec::new();
                while let Some(next) = seq.next_element()? {
                    out.push(next);
                }
                Ok(OneOrMany(out))
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

/// A map in which no key stands twice: of two definitions one would silently lose.
struct Unique<K, V>(BTreeMap<K, V>);

impl<K, V> Default for Unique<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, K, V> Deserialize<'de> for Unique<K, V>
where
    K: FromStr<Err: fmt::Display> + Ord + fmt::Display,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<K, V>(PhantomData<(K, V)>);

        impl<'de, K, V> Visitor<'de> for Reader<K, V>
        where
            K: FromStr<Err: fmt::Display> + Ord + fmt::Display,
            V: Deserialize<'de>,
        {
            type Value = Unique<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names with their settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<K, V>, A::Error> {
                let mut out = BTreeMap::new();
                loop {
                    let fresh = |text: &str| {
                        let key = parsed::<K>(text)?;
                        if out.contains_key(&key) { Err(format!("`{key}` stands here twice")) } else { Ok(key) }
                    };
                    let Some(key) = map.next_key_seed(FromText(fresh))? else { break };
                    out.insert(key, map.next_value()?);
                }
                Ok(Unique(out))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Unique<K, V>, E> {
                Ok(Unique::default())
            }
        }

        deserializer.deserialize_any(Reader(PhantomData))
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(pub(super) String);

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
                let fine = !text.is_empty() && text.len() <= 63 && text.bytes().all(fits);
                fine.then(|| Self(text.to_owned())).ok_or($rule)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

word!(
    /// The name of a label.
    LabelName,
    "a label has 1 to 63 of a-z, 0-9, `-`, `_` and `.`"
);
word!(
    /// The name of a user of the built-in issuer.
    UserName,
    "a user has 1 to 63 of a-z, 0-9, `-`, `_` and `.`"
);
