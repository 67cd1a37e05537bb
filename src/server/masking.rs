//! Keeps a resource's masking views in its database: made when there is a classification, changed with it and with the
//! schema, taken away when somebody asks.
//!
//! A session is masked in the database or it is not; which, is decided when it is opened and stays. Should the views be
//! behind what is known, the role still has no right on what is behind them, and what they do not mask yet is masked on
//! the way.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Mutex;
use tracing::{info, warn};

use super::config::MaskingWish;
use super::credential::{Finding, Seen, inheriting};
use super::resource::Resource;
use super::schema::Reading;
use crate::domain::{
    Access, Duration, Environment, Failure, Grant, Identity, IdentityKind, Kind, Limits, Masking, Method, SessionId,
    Timestamp,
};
use crate::engine::{
    Catalog, ColumnRights, LeftBehind, LeftOut, LeftOutWhy, MaskKey, MaskedViews, MaskingNames, MaskingPlan,
    MaskingState, Policy, PolicySource, Revealing,
};
use crate::runtime::clock;
use crate::runtime::database::{QueryError, Row};

/// How soon it is tried again after it was not possible.
const AGAIN: Duration = Duration::from_secs(60);

/// Characters of `gov_mask_` and the tag behind it.
const ROLE_LENGTH: usize = 17;

/// Relations that a finding names; the others are counted.
const NAMED_MAX: usize = 5;

/// Where a session is masked, and what goes with it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) masking: Masking,
    /// What its role sees, where that is masks.
    pub(super) seen: Option<Seen>,
    /// Why it is not masked in the database, a sentence.
    pub(super) why: Option<String>,
}

impl Place {
    fn on_the_way(why: &str) -> Self {
        Self { masking: Masking::Wire, seen: None, why: Some(why.to_owned()) }
    }
}

/// The masks of one resource in its database.
#[derive(Debug)]
pub(super) struct DatabaseMasking {
    resource: Arc<Resource>,
    wish: MaskingWish,
    key: MaskKey,
    names: MaskingNames,
    /// What views are judged by. It reviews no function: what one would show of masked values is not known.
    policy: Arc<Policy>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What stands in the database, as it was put there last.
    made: Option<Arc<MaskedViews>>,
    /// Why it could not be made, or not be changed.
    hindrance: Option<Finding>,
    left_out: Vec<LeftOut>,
    /// PostgreSQL's version.
    major: u32,
    /// Whoever changes what a view shows meets no view.
    gives_way: bool,
    tried_at: Option<Timestamp>,
    /// Somebody had it taken away: it is not made again until the server starts again.
    removed: bool,
    /// Sessions that see some columns as they are, by views of their own.
    revealing: Vec<Revealing>,
}

impl DatabaseMasking {
    pub(super) fn new(resource: Arc<Resource>, wish: MaskingWish, key: MaskKey) -> Self {
        let names = MaskingNames::new(resource.name.as_str(), &key);
        let policy = Arc::new(Policy::written(Environment::of(&resource.labels), &PolicySource::default()));
        Self { resource, wish, key, names, policy, state: Mutex::default() }
    }

    /// Brings the views to what is known now. Gives what stands in the database after that, if sessions can use it. Cancel
    /// safe: the database does all of it or nothing.
    pub(super) async fn keep(&self, catalog: &Arc<Catalog>) -> Option<Arc<MaskedViews>> {
        let mut state = self.state.lock().await;
        self.bring(&mut state, catalog).await
    }

    async fn bring(&self, state: &mut State, catalog: &Arc<Catalog>) -> Option<Arc<MaskedViews>> {
        if self.wish == MaskingWish::Wire || !self.resource.source.makes_roles() || state.removed {
            return None;
        }
        state.tried_at = Some(clock::now());
        let before = state.hindrance.take();
        match self.make(catalog, &state.revealing).await {
            Ok(Made { views, left_out, major, gives_way }) => {
                (state.left_out, state.major, state.gives_way) = (left_out, major, gives_way);
                state.hindrance = self.incomplete(state);
                state.made = state.hindrance.is_none().then(|| Arc::new(views));
            }
            Err(Hindrance::Broken(finding)) => {
                state.made = None;
                state.hindrance = Some(finding);
            }
            Err(Hindrance::Busy(finding)) => state.hindrance = Some(finding),
        }
        if let Some(finding) = state.hindrance.as_ref().filter(|finding| before.as_ref() != Some(finding)) {
            warn!(resource = %self.resource.name, "not masked in the database: {finding}");
        }
        state.made.clone()
    }

    /// Makes the views of a session that sees some columns as they are, or says why that cannot be: it is never masked
    /// elsewhere in silence. Gives what stands in the database after that. Not cancel safe: call [`Self::forget`] after it.
    pub(super) async fn reveal(
        &self,
        catalog: &Arc<Catalog>,
        revealing: Revealing,
    ) -> Result<Arc<MaskedViews>, Failure> {
        let mut state = self.state.lock().await;
        state.revealing.push(revealing);
        let views = self.bring(&mut state, catalog).await;
        match (views, &state.hindrance) {
            (Some(views), None) => Ok(views),
            (_, hindrance) => {
                let why = hindrance.as_ref().map_or("Somebody had the masking views taken away.", |why| &why.text);
                let message = format!("`{}` cannot show columns as they are at the moment", self.resource.name);
                Err(Failure::new(Kind::Gateway, message)
                    .detail(format!(
                        "{why} Sessions that read are masked in the database, where real values need a view."
                    ))
                    .hint("try again in a moment, or leave --reveal out"))
            }
        }
    }

    /// Makes no view for this session any more. Its role may go then.
    pub(super) async fn forget(&self, session: SessionId) {
        self.state.lock().await.revealing.retain(|one| one.session != session);
    }

    /// Takes away the views that only this session had, which has ended. What cannot be taken away now goes with the next
    /// change of the views; nobody may read it.
    pub(super) async fn conceal(&self, session: SessionId) {
        let _state = self.state.lock().await;
        let broker = self.resource.broker();
        let concealed = async {
            let rows = broker.ask(&self.names.of_session(session)).await?;
            let schemas: Vec<&str> = rows.iter().filter_map(|row| row.text(0)).collect();
            if !schemas.is_empty() {
                broker.ask(&self.names.concealment(&schemas)).await?;
            }
            Ok::<_, QueryError>(())
        };
        if let Err(error) = concealed.await {
            warn!(resource = %self.resource.name, %session, error = %error, "a session's own views are left");
        }
    }

    /// By default nobody loses sight of anything: what has no view keeps all sessions from being masked in the database.
    fn incomplete(&self, state: &State) -> Option<Finding> {
        if self.wish != MaskingWish::Auto {
            return None;
        }
        let mut lasting = self.told(state).into_iter();
        lasting.find(|(why, _)| *why != LeftOutWhy::Unknown).map(|(_, finding)| finding)
    }

    /// Whether the last try failed, and it is time for another one.
    pub(super) async fn is_due(&self) -> bool {
        let state = self.state.lock().await;
        let again = state.tried_at.is_some_and(|at| clock::now().since(at) > AGAIN);
        state.hindrance.is_some() && again && !state.removed
    }

    async fn make(&self, catalog: &Arc<Catalog>, revealing: &[Revealing]) -> Result<Made, Hindrance> {
        let broker = self.resource.broker();
        let state: MaskingState = read(&self.ask(&self.names.state()).await?)?;
        if let Some(lacks) = state.lacks(&self.resource.database, &broker.login().user) {
            let text = "The broker may not make the schemas that masking views are in.".to_owned();
            let remedy = if self.wish == MaskingWish::Auto { self.remedy() } else { lacks };
            return Err(Hindrance::Broken(Finding { fatal: false, text, remedy: Some(remedy) }));
        }
        if self.wish == MaskingWish::Auto && !state.gives_way() {
            return Err(Hindrance::Broken(Finding {
                fatal: false,
                text: STANDS_IN_THE_WAY.to_owned(),
                remedy: Some(self.remedy()),
            }));
        }
        let rights = self.ask(&self.names.rights(&self.resource.roles.read)).await?;
        let rights: Vec<ColumnRights> = read(&rights)?;
        let plan = MaskingPlan::new(&self.names, catalog, &self.policy, &self.grant(), &rights, revealing);
        if let Some(sql) = plan.changes(&state, &self.key) {
            broker.ask(&sql).await.map_err(|error| self.hindered(&error))?;
            info!(resource = %self.resource.name, views = plan.len(), "masking views changed");
        }
        let readable: Vec<(u32, i16)> = read(&self.ask(&self.names.readable()).await?)?;
        let exposed: Vec<String> = plan.exposed(catalog, &readable).into_iter().collect();
        if !exposed.is_empty() {
            let text = format!("Everybody may read {}, so that no view can mask it.", shortened(&exposed));
            let remedy = format!("REVOKE SELECT ON {} FROM PUBLIC, \"{}\";", exposed.join(", "), self.names.reader());
            return Err(Hindrance::Broken(Finding { fatal: false, text, remedy: Some(remedy) }));
        }
        Ok(Made { views: plan.views(), left_out: plan.left_out, major: state.major, gives_way: state.gives_way() })
    }

    async fn ask(&self, sql: &str) -> Result<Vec<Row>, Hindrance> {
        // Names of types are then written with their schema.
        let sql = format!("SET LOCAL search_path = ''; {sql}");
        self.resource.broker().ask(&sql).await.map_err(|error| self.hindered(&error))
    }

    /// What a superuser runs in a shell.
    fn remedy(&self) -> String {
        let is_plain = |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        let word =
            |name: &str| if is_plain(name) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) };
        let (broker, database) = (word(&self.resource.broker().login().user), word(&self.resource.database));
        format!("gov server --print-masking-sql {broker} | psql -d {database}")
    }

    fn hindered(&self, error: &QueryError) -> Hindrance {
        let sqlstate = error.sqlstate().map(|code| String::from_utf8_lossy(&code).into_owned());
        warn!(resource = %self.resource.name, error = %error, "a statement of the masking views failed");
        let finding = |text: &str| Finding { fatal: false, text: text.to_owned(), remedy: None };
        match sqlstate.as_deref() {
            // Somebody uses a view, or the connection was lost: what stands there is as good as it was.
            Some("55P03" | "40P01" | "57014") | None => Hindrance::Busy(finding(
                "The masking views are in use and could not be changed; it will be tried again.",
            )),
            Some(code) => Hindrance::Broken(finding(&format!(
                "The masking views could not be made (SQLSTATE {code}; the gateway's log has the database's words)."
            ))),
        }
    }

    /// Where a session that may do this is masked, and what its role then sees; `revealing` is the session, if it is to see
    /// some columns as they are. A wish that cannot be had is refused, and what somebody gets instead of it is said to be
    /// that.
    pub(super) async fn of(
        &self,
        access: Access,
        revealing: Option<SessionId>,
        reading: &Reading,
    ) -> Result<Place, Failure> {
        if access == Access::Write {
            return Ok(Place::on_the_way("Sessions that write work on the tables themselves."));
        }
        if self.wish == MaskingWish::Wire {
            return Ok(Place::on_the_way("The configuration says so."));
        }
        if reading.masked.is_some() {
            let reader = self.names.reader().to_owned();
            let seen = Seen { reader, search_path: self.names.path(&reading.search_path, revealing) };
            return Ok(Place { masking: Masking::Database, seen: Some(seen), why: None });
        }
        let why = self.hindrance().await;
        let why = why.map_or_else(|| "Somebody had the masking views taken away.".to_owned(), |finding| finding.text);
        if self.wish == MaskingWish::Auto {
            return Ok(Place::on_the_way(&why));
        }
        Err(Failure::new(
            Kind::Gateway,
            format!("`{}` cannot be masked in the database at the moment", self.resource.name),
        )
        .detail(format!("{why} The configuration says that it must be."))
        .hint("tell whoever runs the gateway: the log says what to grant"))
    }

    async fn hindrance(&self) -> Option<Finding> {
        if !self.resource.source.makes_roles() {
            let text = "Masking in the database takes a role of its own for each session.".to_owned();
            return Some(Finding { fatal: false, text, remedy: Some("credential: postgres-role".to_owned()) });
        }
        self.state.lock().await.hindrance.clone()
    }

    /// What keeps masks out of the database, and what they leave out. After the first [`Self::keep`].
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let fatal = self.wish == MaskingWish::Database;
        let mut findings: Vec<Finding> = self.others().await.into_iter().collect();
        if self.wish == MaskingWish::Wire {
            return findings;
        }
        if let Some(finding) = self.hindrance().await {
            let until = if fatal { "Sessions that read are refused." } else { "Sessions are masked on the way." };
            findings.push(Finding { fatal, text: format!("{} {until}", finding.text), ..finding });
        }
        let state = self.state.lock().await;
        if state.made.is_some() {
            findings.extend(self.told(&state).into_iter().map(|(_, finding)| finding));
            if !state.gives_way {
                let text = STANDS_IN_THE_WAY.to_owned();
                findings.push(Finding { fatal: false, text, remedy: Some(self.remedy()) });
            }
        }
        findings
    }

    /// What is to be said about relations without a view.
    fn told(&self, state: &State) -> Vec<(LeftOutWhy, Finding)> {
        let told = LEFT_OUT.iter().filter_map(|(why, text)| {
            let left = state.left_out.iter().filter(|left| left.why == *why);
            let names: Vec<String> = left.map(|left| left.relation.clone()).collect();
            let text = format!("Masking views cannot show {}: {text}", shortened(&names));
            let remedy = self.remedy_of(*why, state.major);
            (!names.is_empty()).then_some((*why, Finding { fatal: false, text, remedy }))
        });
        told.collect()
    }

    fn remedy_of(&self, why: LeftOutWhy, major: u32) -> Option<String> {
        match why {
            LeftOutWhy::Unknown => None,
            LeftOutWhy::Unreadable => {
                let groups: Vec<String> =
                    self.resource.roles.read.iter().map(|group| crate::engine::quoted(group)).collect();
                let broker = crate::engine::quoted(&self.resource.broker().login().user);
                Some(inheriting(&groups.join(", "), &broker, major))
            }
            LeftOutWhy::RowSecurity => {
                Some("let the broker be neither their owner nor a superuser, and without BYPASSRLS".to_owned())
            }
        }
    }

    /// Masks that stand in the database and are not this resource's: whoever made them may be gone.
    async fn others(&self) -> Option<Finding> {
        let rows = self.resource.broker().ask(&self.names.others()).await;
        let rows =
            rows.inspect_err(|error| warn!(resource = %self.resource.name, error = %error, "schemas not readable"));
        let schemas: Vec<String> = rows.ok()?.iter().filter_map(|row| row.text(0)).map(str::to_owned).collect();
        let roles: BTreeSet<&str> = schemas.iter().filter_map(|schema| schema.get(..ROLE_LENGTH)).collect();
        let list = |names: Vec<&str>| names.into_iter().map(crate::engine::quoted).collect::<Vec<_>>().join(", ");
        let (dropped, roles) = (list(schemas.iter().map(String::as_str).collect()), list(roles.into_iter().collect()));
        (!schemas.is_empty()).then(|| Finding {
            fatal: false,
            text: format!(
                "Masking views stand in the database that are not of this resource: {}. What is behind them cannot be \
                 dropped or changed.",
                shortened(&schemas)
            ),
            remedy: Some(format!(
                "if no other gateway or resource has made them: DROP SCHEMA {dropped} CASCADE; DROP OWNED BY {roles}; \
                 DROP ROLE {roles};"
            )),
        })
    }

    /// Takes everything away that was made in the database. Says whether there was anything.
    pub(super) async fn remove(&self) -> Result<bool, Failure> {
        let mut held = self.state.lock().await;
        let broker = self.resource.broker();
        let rows = broker.rows(&self.names.state()).await?;
        let state: MaskingState =
            read(&rows).map_err(|_| Failure::new(Kind::Database, "what stands in the database could not be read"))?;
        *held = State { removed: true, ..State::default() };
        if state.is_empty() {
            return Ok(false);
        }
        broker.rows(&self.names.removal(&state)).await?;
        info!(resource = %self.resource.name, "masking views removed");
        Ok(true)
    }

    /// Masks that stand in the database and are not this resource's.
    pub(super) async fn left_behind(&self) -> Result<Vec<LeftBehind>, Failure> {
        let rows = self.resource.broker().rows(&self.names.left_behind()).await?;
        read(&rows).map_err(|_| Failure::new(Kind::Database, "what stands in the database could not be read"))
    }

    /// Takes away what somebody else left behind under this name, when nothing speaks against it. Whether that somebody is
    /// gone only people know.
    pub(super) async fn remove_left_behind(&self, name: &str) -> Result<(), Failure> {
        let found = self.left_behind().await?;
        let Some(found) = found.iter().find(|found| found.name == name) else {
            return Err(Failure::new(Kind::Usage, format!("no masks of another gateway stand there as `{name}`"))
                .hint("run gov classify with --uninstall alone to have them named"));
        };
        if let Some(hindrance) = found.hindrance() {
            return Err(Failure::new(Kind::Denied, format!("`{name}` is left where it is")).detail(hindrance));
        }
        let (broker, names) = (self.resource.broker(), found.names());
        let state: MaskingState = read(&broker.rows(&names.state()).await?)
            .map_err(|_| Failure::new(Kind::Database, "what stands in the database could not be read"))?;
        broker.rows(&names.removal(&state)).await?;
        info!(resource = %self.resource.name, name, "masking views of another were removed");
        Ok(())
    }

    /// Whom views are judged for: nobody in particular.
    fn grant(&self) -> Grant {
        let now = Timestamp::default();
        Grant {
            session: SessionId::new(now, [0; 10]),
            identity: Identity {
                issuer: String::new(),
                subject: String::new(),
                name: String::new(),
                email: None,
                groups: Vec::new(),
                kind: IdentityKind::Workload,
                actors: Vec::new(),
                method: Method::IdToken,
                proved_at: now,
            },
            resource: self.resource.name.clone(),
            labels: self.resource.labels.clone(),
            purpose: None,
            access: Access::Read,
            masking: Masking::Database,
            limits: Limits { connections_max: 1, rows_max: None },
            opened_at: now,
            expires_at: now,
            policy: self.policy.digest(),
            reveal: Vec::new(),
        }
    }
}

/// What is said where views would keep others from changing what they show.
const STANDS_IN_THE_WAY: &str = "Masking views would keep owners from dropping or retyping the columns they show.";

/// What stands in the database now.
struct Made {
    views: MaskedViews,
    left_out: Vec<LeftOut>,
    major: u32,
    gives_way: bool,
}

/// Why views could not be made or changed.
enum Hindrance {
    /// What stands there cannot be relied on.
    Broken(Finding),
    /// What stands there is as good as it was.
    Busy(Finding),
}

/// What is said about relations without a view.
const LEFT_OUT: &[(LeftOutWhy, &str)] = &[
    (LeftOutWhy::Unknown, "nobody has looked at what they hold yet."),
    (LeftOutWhy::Unreadable, "the broker may not read them, and their views could not either."),
    (LeftOutWhy::RowSecurity, "their row security does not hold for the broker, and their views would show all rows."),
];

fn shortened(names: &[String]) -> String {
    let named: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

/// The only cell of an answer, as what it says.
fn read<T: serde::de::DeserializeOwned>(rows: &[Row]) -> Result<T, Hindrance> {
    let cell = rows.first().and_then(|row| row.text(0)).unwrap_or_default();
    serde_json::from_str(cell).map_err(|error| {
        let text = format!("The database's answer about the masking views was not understood ({error}).");
        Hindrance::Busy(Finding { fatal: false, text, remedy: None })
    })
}
