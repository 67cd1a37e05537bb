//! Logging in: discovery through the server, the device flow at its identity provider, the exchange for a token of the
//! server's, and a place for it to rest.

use super::gateway::{Gateway, SKEW_MAX, Server, Skew, save, try_save};
use super::oauth::{Provider, Started};
use super::profile::Profile;
use super::token_store::{self, Login, TOKEN_STORES, TokenStore};
use crate::domain::{Failure, Kind, Secret, Timestamp, print_duration};
use crate::identity::jwt::SigningKey;
use crate::runtime::{clock, env, random};
use crate::wire::api::{DeviceAnswer, Me, ServerInfo};

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
    let device =
        SigningKey::from_seed(&seed).ok_or_else(|| Failure::new(Kind::Internal, "no device key could be made"))?;
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
        name: String::new(),
    };
    let mut gateway = Gateway::new(wish.server, profile, store, login);
    let me: Me = gateway.get("/v1/me").await?;
    gateway.profile.name = me.name;
    gateway.profile.save()?;
    Ok(Done { profile: gateway.profile, store, fallback })
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
