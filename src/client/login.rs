//! Logging in: discovery through the server, the device flow at its identity provider, the exchange for a token of the
//! server's, and a place for it to rest.

use std::path::PathBuf;

use super::gateway::{Gateway, SKEW_MAX, Server, Skew, load, save, try_save};
use super::oauth::{Provider, Started};
use super::profile::Profile;
use super::token_store::{self, Login, TOKEN_STORES, TokenStore};
use super::workload::Platform;
use crate::domain::{Failure, Kind, Secret, Timestamp, print_duration};
use crate::identity::jwt::SigningKey;
use crate::runtime::{clock, env, random};
use crate::wire::api::{DeviceAnswer, Me, ServerInfo};

/// Where the login of a job rests.
const JOB_STORE: &str = "file";

/// What the person is shown while the login waits for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    pub(crate) url: String,
    /// The same with the code in it, for a QR code.
    pub(crate) url_with_code: Option<String>,
    pub(crate) code: String,
    /// The number that must stand on the page too, where the issuer has one.
    pub(crate) number: Option<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) built_in: bool,
}

/// What somebody wants.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) server: Server,
    /// Authorities to believe besides the system's, as PEM.
    pub(crate) ca: Option<String>,
    /// Where the login is to rest; `None`: the best place there is.
    pub(crate) store: Option<String>,
    /// Answer the built-in issuer's page as this user, without a browser.
    pub(crate) dev_user: Option<String>,
}

/// A finished login.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) profile: Profile,
    pub(crate) store: &'static dyn TokenStore,
    /// Why a better place for it could not be used.
    pub(crate) fallback: Option<String>,
}

/// Logs in. `show` is called once, when there is something for the person to do. Cancel safe: nothing is kept before
/// the end.
pub(crate) async fn login(wish: Wish, show: impl FnOnce(&Prompt)) -> Result<Done, Failure> {
    let info = wish.server.info().await?;
    check_clock(&info)?;
    let provider = Provider::discover(wish.server.http_for(&info.issuer, wish.ca.as_deref())?, &info.issuer).await?;
    // Only the built-in issuer knows what to do with these.
    let about = [("gov_host", env::user_at_host()), ("gov_version", env!("CARGO_PKG_VERSION").to_owned())];
    let about = if info.issuer.built_in { about.as_slice() } else { &[] };
    let started = provider.start(about).await?;
    match &wish.dev_user {
        Some(user) if info.issuer.built_in => approve(&wish.server, &started, user).await?,
        Some(_) => {
            return Err(Failure::new(Kind::Usage, "--dev-user is for the built-in issuer")
                .detail(format!("This server uses `{}`.", info.issuer.url))
                .hint("leave it out and log in there"));
        }
        None => show(&prompt(&started, info.issuer.built_in)),
    }
    let granted = provider.wait(&started).await?;
    let seed = Secret::new(random::bytes::<32>()?);
    let device = device(&seed)?;
    let (access_token, access_until) = wish.server.exchange(&info.issuer, &granted.subject_token, &device).await?;
    let login = Login { device: seed, refresh_token: granted.refresh_token, access_token, access_until };
    let (store, fallback) = keep(wish.store.as_deref(), &wish.server.origin(), &login).await?;
    let profile = Profile {
        server: wish.server.origin(),
        ca: wish.ca,
        issuer: info.issuer,
        key: info.key,
        log: info.log,
        token_store: store.name().to_owned(),
        workload: None,
        name: String::new(),
    };
    Ok(Done { profile: finish(wish.server, profile, store, login).await?, store, fallback })
}

/// What a job wants.
#[derive(Debug)]
pub(crate) struct JobWish {
    pub(crate) server: Server,
    /// Authorities to believe besides the system's, as PEM.
    pub(crate) ca: Option<String>,
    pub(crate) platform: Platform,
    /// What the token is to be made for; `None`: the server.
    pub(crate) audience: Option<String>,
    /// Where the token is, if not where the platform puts it.
    pub(crate) token_file: Option<PathBuf>,
}

/// Logs a job in with the token of its platform. Shows nothing, asks nobody. The login rests in a file, because jobs have
/// no keychain; it is good for minutes, cannot be renewed, and is worth nothing on another machine that does not have
/// the file. The platform's own token is not kept. Cancel safe: nothing is kept before the end.
pub(crate) async fn log_in_job(wish: JobWish) -> Result<Done, Failure> {
    let info = wish.server.info().await?;
    check_clock(&info)?;
    let origin = wish.server.origin();
    let audience = wish.audience.as_deref().unwrap_or(&origin);
    let token = wish.platform.token(audience, wish.token_file.as_deref()).await?;
    let store = token_store::named(JOB_STORE)
        .ok_or_else(|| Failure::new(Kind::Internal, "there is no place for the login to rest"))?;
    // The server ties a token to the first key that comes with it. GitLab gives a job one token for its whole life, a
    // pod keeps one for most of an hour: to log in again with it, the job must come with the same key.
    let before = Profile::load().unwrap_or_default().filter(|it| it.server == origin && it.workload.is_some());
    let login = if before.is_some() { load(store, &origin).await.unwrap_or_default() } else { None };
    let seed = match login {
        Some(login) => login.device,
        None => Secret::new(random::bytes::<32>()?),
    };
    let device = device(&seed)?;
    let (access_token, access_until) = wish.server.exchange_workload(&token, &device).await?;
    let login = Login { device: seed, refresh_token: None, access_token, access_until };
    save(store, &origin, &login).await?;
    let profile = Profile {
        server: origin,
        ca: wish.ca,
        issuer: info.issuer,
        key: info.key,
        log: info.log,
        token_store: store.name().to_owned(),
        workload: Some(wish.platform.word().to_owned()),
        name: String::new(),
    };
    Ok(Done { profile: finish(wish.server, profile, store, login).await?, store, fallback: None })
}

fn device(seed: &Secret<[u8; 32]>) -> Result<SigningKey, Failure> {
    SigningKey::from_seed(seed).ok_or_else(|| Failure::new(Kind::Internal, "no device key could be made"))
}

/// Asks the server who has logged in, and remembers where.
async fn finish(
    server: Server,
    profile: Profile,
    store: &'static dyn TokenStore,
    login: Login,
) -> Result<Profile, Failure> {
    let mut gateway = Gateway::new(server, profile, store, login);
    let me: Me = gateway.get("/v1/me").await?;
    gateway.profile.name = me.name;
    gateway.profile.save()?;
    Ok(gateway.profile)
}

/// A clock that is off makes every proof worthless; better said now than as a riddle later.
fn check_clock(info: &ServerInfo) -> Result<(), Failure> {
    match Server::skew(info) {
        Some(skew) if skew.length() > SKEW_MAX => Err(clock_off(skew)),
        Some(_) | None => Ok(()),
    }
}

fn clock_off(skew: Skew) -> Failure {
    let side = match skew {
        Skew::Ahead(_) => "ahead of",
        Skew::Behind(_) => "behind",
    };
    let message = format!("the clock of this machine is {} {side} the server's", print_duration(skew.length()));
    Failure::new(Kind::Usage, message)
        .detail("Proofs that this machine makes would be taken for old or future ones.")
        .hint("set the clock, for example with: timedatectl set-ntp true")
}

fn prompt(started: &Started, built_in: bool) -> Prompt {
    Prompt {
        url: started.verification_uri().to_string(),
        url_with_code: started.verification_uri_complete().map(|url| url.secret().clone()),
        code: started.user_code().secret().clone(),
        number: started.extra_fields().gov_number.clone(),
        expires_at: clock::now().after(started.expires_in()),
        built_in,
    }
}

/// Answers the built-in issuer's page as `user`: the same form that a browser posts. The form's protection against
/// other sites compares a cookie with a field; whoever is not a browser may choose both.
async fn approve(server: &Server, started: &Started, user: &str) -> Result<(), Failure> {
    let csrf: String = random::bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let form = DeviceAnswer {
        csrf: csrf.clone(),
        user_code: started.user_code().secret().clone(),
        decision: "approve".to_owned(),
        user: user.to_owned(),
        number: started.extra_fields().gov_number.clone().unwrap_or_default(),
    };
    let answer = server.post_page("/issuer/device", &format!("gov_csrf={csrf}"), &form).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("the built-in issuer has no user `{user}`"))
        .detail("Its users are those of the configuration; without one: alice, bob, carol, dave."))
}

/// Puts the login into the named place, or into the best one that works.
async fn keep(
    wanted: Option<&str>,
    server: &str,
    login: &Login,
) -> Result<(&'static dyn TokenStore, Option<String>), Failure> {
    if let Some(name) = wanted {
        let store = token_store::named(name).ok_or_else(|| {
            let known: Vec<_> = TOKEN_STORES.iter().map(|store| store.name()).collect();
            Failure::new(Kind::Usage, format!("there is no token store `{name}`"))
                .hint(format!("choose one of: {}", known.join(", ")))
        })?;
        save(store, server, login).await?;
        return Ok((store, None));
    }
    let mut troubles = Vec::new();
    for store in TOKEN_STORES.iter().copied() {
        match try_save(store, server, login).await {
            Ok(()) => return Ok((store, (!troubles.is_empty()).then(|| troubles.join("; ")))),
            Err(error) => troubles.push(format!("{}: {error}", store.name())),
        }
    }
    Err(Failure::new(Kind::Internal, "there is no place for the login to rest")
        .detail(format!("{}.", troubles.join("; "))))
}
