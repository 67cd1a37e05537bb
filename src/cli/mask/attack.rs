//! Plays the families on the scratch copy: first around everything, to see which of their ways show a value at all, then
//! through an endpoint and a gateway, to see which of those still do.

use std::collections::HashSet;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;

use super::canary::{Heard, Mark, Marks};
use super::family::{Attempt, FAMILIES};
use crate::cli::stage::{STEP_MAX, Stage, broken};
use crate::domain::{Access, Duration, Failure, Kind, Masking, Secret};
use crate::runtime::database::{Address, Answer, Connection, Login, QueryError};
use crate::wire::postgres::{Complaint, Transaction};

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);

/// What gov says no with, and the database to a role that has no right (SQLSTATE: insufficient privilege).
const REFUSED: &[u8; 5] = b"42501";

/// A column with canaries in it.
#[derive(Debug)]
pub(super) struct Target {
    /// As a person names it.
    pub(super) name: String,
    /// Quoted.
    pub(super) table: String,
    pub(super) column: String,
    pub(super) mark: Mark,
    /// Only what looks like something is masked in it.
    pub(super) is_free_text: bool,
    /// Of the values in it.
    pub(super) hashes: Vec<String>,
}

/// What there is to attack.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) marks: Marks,
    pub(super) targets: Vec<Target>,
    pub(super) views: Vec<String>,
    pub(super) calls: Vec<String>,
}

/// How a family fared in one session.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    pub(super) session: &'static str,
    pub(super) masking: String,
    pub(super) family: &'static str,
    pub(super) attempts: u32,
    pub(super) refused: u32,
    pub(super) masked: u32,
    pub(super) leaked: u32,
}

/// Something that got out.
#[derive(Debug, Serialize)]
pub(super) struct Leak {
    pub(super) session: &'static str,
    pub(super) family: &'static str,
    /// The column, or the view or function.
    pub(super) of: String,
    pub(super) statement: String,
    /// In what form it was found.
    pub(super) found: String,
}

/// One attempt on one thing.
struct Shot<'g> {
    family: usize,
    attempt: Attempt,
    target: Option<&'g Target>,
    of: &'g str,
    /// The statements; of an oracle also with the wrong guess.
    statements: Vec<Vec<String>>,
}

/// The shots of which it was seen that they hit where nothing masks.
pub(super) struct Armed<'g> {
    marks: &'g Marks,
    shots: Vec<Shot<'g>>,
}

impl Ground {
    /// Forgets columns in which nothing is, and gives their names: of tables that could not be filled.
    pub(super) async fn drop_empty(&mut self, direct: &mut Connection) -> Result<Vec<String>, Failure> {
        let mut empty = Vec::new();
        for target in &self.targets {
            let look = format!("SELECT FROM {} WHERE {} IS NOT NULL LIMIT 1", target.table, target.column);
            let rows = direct.rows(&look, ATTEMPT_MAX).await;
            if rows.map_err(|error| lost(&error))?.is_empty() {
                empty.push(target.name.clone());
            }
        }
        self.targets.retain(|target| !empty.contains(&target.name));
        Ok(empty)
    }

    /// Tries everything around gov, and keeps what shows something.
    pub(super) async fn arm<'g>(&'g self, direct: &mut Connection) -> Result<Armed<'g>, Failure> {
        let mut shots = Vec::new();
        for shot in self.shots() {
            if let Outcome::Leaked(_) = fire(&self.marks, &shot, direct).await.map_err(|error| lost(&error))? {
                shots.push(shot);
            }
        }
        Ok(Armed { marks: &self.marks, shots })
    }

    /// Every attempt on everything it is for; what would be the same twice, once.
    fn shots(&self) -> Vec<Shot<'_>> {
        let (mut shots, mut seen) = (Vec::new(), HashSet::new());
        for (family, attempt) in
            FAMILIES.iter().enumerate().flat_map(|(index, family)| family.attempts.iter().map(move |one| (index, *one)))
        {
            let of_name = |place: &'static str, names: &'_ [String]| {
                names.iter().map(|name| (None, vec![(place, name.clone())])).collect::<Vec<_>>()
            };
            let places = if attempt.has("{v}") {
                of_name("{v}", &self.views)
            } else if attempt.has("{f}") {
                of_name("{f}", &self.calls)
            } else {
                let filled = |target: &Target| vec![("{t}", target.table.clone()), ("{c}", target.column.clone())];
                self.targets.iter().map(|target| (Some(target), filled(target))).collect()
            };
            for (target, filled) in places {
                let fill = |guess: &str| {
                    let filled = filled.iter().map(|(place, with)| (*place, with.as_str()));
                    attempt.statements(&filled.chain([("{guess}", guess)]).collect::<Vec<_>>())
                };
                let statements = match (attempt, target) {
                    (Attempt::Oracle(_), Some(target)) => {
                        self.marks.guesses(target.mark).map(|guess| fill(&guess)).to_vec()
                    }
                    (_, _) => vec![fill("")],
                };
                let of = match target {
                    Some(target) if attempt.has("{c}") => target.name.as_str(),
                    Some(target) => target.table.as_str(),
                    None => self.named(&filled),
                };
                if seen.insert((family, statements.clone(), matches!(attempt, Attempt::Binary(_)))) {
                    shots.push(Shot { family, attempt, target, of, statements });
                }
            }
        }
        shots
    }

    /// The view or call that a place was filled with.
    fn named(&self, filled: &[(&str, String)]) -> &str {
        let name = filled.first().map(|(_, name)| name);
        self.views.iter().chain(&self.calls).find(|one| Some(*one) == name).map_or("", String::as_str)
    }
}

impl Armed<'_> {
    pub(super) fn len(&self) -> usize {
        self.shots.len()
    }

    /// Plays them in a session with this access.
    pub(super) async fn play(
        &self,
        stage: &Stage,
        connect: &[&str],
        access: Access,
    ) -> Result<(Vec<Score>, Vec<Leak>), Failure> {
        let mut endpoint = Endpoint::open(stage, connect).await?;
        let played = self.play_at(&endpoint.at, access).await;
        drop(endpoint.connect.kill().await);
        played
    }

    async fn play_at(&self, at: &At, access: Access) -> Result<(Vec<Score>, Vec<Leak>), Failure> {
        let session = access.word();
        let empty = |family: &super::family::Family| Score {
            session,
            masking: at.masking.clone(),
            family: family.name,
            attempts: 0,
            refused: 0,
            masked: 0,
            leaked: 0,
        };
        let mut scores: Vec<Score> = FAMILIES.iter().map(empty).collect();
        let mut leaks = Vec::new();
        let mut connection = at.connection().await?;
        for shot in &self.shots {
            if access == Access::Read && matches!(shot.attempt, Attempt::Write(_)) || is_open(&at.masking, shot) {
                continue;
            }
            let outcome = match fire(self.marks, shot, &mut connection).await {
                Ok(outcome) => outcome,
                // A connection that is cut has shown nothing more; a session that is over gives no other.
                Err(_) => {
                    connection = at.connection().await?;
                    Outcome::Refused
                }
            };
            let Some(score) = scores.get_mut(shot.family) else { continue };
            score.attempts += 1;
            match outcome {
                Outcome::Refused => score.refused += 1,
                Outcome::Masked => score.masked += 1,
                Outcome::Leaked(found) => {
                    score.leaked += 1;
                    let statement = shot.statements.first().map(|list| list.join("; ")).unwrap_or_default();
                    leaks.push(Leak { session, family: score.family, of: shot.of.to_owned(), statement, found });
                }
            }
        }
        scores.retain(|score| score.attempts > 0);
        Ok((scores, leaks))
    }
}

/// Sessions masked on the way may look for words in free text: whoever searches notes needs that, and it is said wherever
/// this is reported.
fn is_open(masking: &str, shot: &Shot<'_>) -> bool {
    let is_free_text = shot.target.is_some_and(|target| target.is_free_text);
    is_free_text && masking == Masking::Wire.word() && matches!(shot.attempt, Attempt::Oracle(_))
}

enum Outcome {
    /// gov said no.
    Refused,
    /// Something came back, or the database had nothing to say, and no value was in it.
    Masked,
    Leaked(String),
}

async fn fire(marks: &Marks, shot: &Shot<'_>, connection: &mut Connection) -> Result<Outcome, QueryError> {
    let binary = matches!(shot.attempt, Attempt::Binary(_));
    let mut answers = Vec::new();
    for statements in &shot.statements {
        let played = tokio::time::timeout(ATTEMPT_MAX, play(connection, statements, binary)).await;
        answers.push(played.map_err(|_| QueryError::Slow)??);
    }
    let is_refused = answers.iter().any(|answer| answer.refused);
    if let (Attempt::Oracle(_), [right, wrong]) = (shot.attempt, answers.as_slice()) {
        let tells = !is_refused && (&right.heard.rows, right.sqlstate) != (&wrong.heard.rows, wrong.sqlstate);
        return Ok(match (tells, is_refused) {
            (true, _) => Outcome::Leaked("a right guess shows".to_owned()),
            (false, true) => Outcome::Refused,
            (false, false) => Outcome::Masked,
        });
    }
    let hashes = shot.target.map(|target| target.hashes.as_slice()).unwrap_or_default();
    let found = answers.iter().find_map(|answer| marks.find(&answer.heard, hashes));
    Ok(match found {
        Some(found) => Outcome::Leaked(found),
        None if is_refused => Outcome::Refused,
        None => Outcome::Masked,
    })
}

/// What came back from one list of statements.
#[derive(Default)]
struct Played {
    heard: Heard,
    refused: bool,
    /// Of the first error.
    sqlstate: Option<[u8; 5]>,
}

async fn play(connection: &mut Connection, statements: &[String], binary: bool) -> Result<Played, QueryError> {
    let mut played = Played::default();
    let mut status = Transaction::Idle;
    for statement in statements {
        if binary {
            connection.ask_binary(statement).await?
        } else {
            connection.ask(statement).await?
        }
        status = played.listen(connection).await?;
    }
    if status != Transaction::Idle {
        connection.ask("ROLLBACK").await?;
        Played::default().listen(connection).await?;
    }
    Ok(played)
}

impl Played {
    /// Takes in everything until the server is ready again.
    async fn listen(&mut self, connection: &mut Connection) -> Result<Transaction, QueryError> {
        loop {
            match connection.next().await? {
                Answer::Row(cells) => self.heard.rows.push(cells),
                Answer::Copied(data) => self.say(&String::from_utf8_lossy(&data)),
                Answer::Parameter(name, value) => self.say(&format!("{name} {value}")),
                Answer::Notice(complaint) => self.complain(&complaint),
                Answer::Failed(complaint) => {
                    self.refused |= complaint.sqlstate() == *REFUSED;
                    self.sqlstate = self.sqlstate.or_else(|| Some(complaint.sqlstate()));
                    self.complain(&complaint);
                }
                Answer::CopyWanted => connection.refuse_copy("nothing to copy").await?,
                Answer::Columns(columns) => columns.iter().for_each(|column| self.say(&column.name)),
                Answer::Complete(_) | Answer::Suspended => {}
                Answer::Ready(status) => return Ok(status),
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.heard.talk.push_str(text);
        self.heard.talk.push('\n');
    }

    fn complain(&mut self, complaint: &Complaint) {
        complaint.fields.iter().for_each(|(_, text)| self.say(text));
    }
}

/// An open `gov connect`, which ends with this.
struct Endpoint {
    at: At,
    connect: Child,
}

/// Where it is.
#[derive(Deserialize)]
struct At {
    host: String,
    port: u16,
    user: String,
    password: String,
    database: String,
    masking: String,
}

impl Endpoint {
    async fn open(stage: &Stage, arguments: &[&str]) -> Result<Self, Failure> {
        let mut process = stage.gov(&[&["connect"], arguments, &["--port", "0", "--print", "json"]].concat());
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut connect = process.spawn().map_err(|error| broken("the endpoint cannot be started", &error))?;
        let stdout = connect.stdout.take();
        let described = async {
            let line = BufReader::new(stdout?).lines().next_line().await.ok()??;
            serde_json::from_str(&line).ok()
        };
        let described = tokio::time::timeout(STEP_MAX, described).await.ok().flatten();
        let Some(at) = described else {
            drop(connect.start_kill());
            let mut said = String::new();
            if let Some(mut stderr) = connect.stderr.take() {
                drop(stderr.read_to_string(&mut said).await);
            }
            return Err(Failure::new(Kind::Gateway, "no session on the scratch copy could be opened").detail(said));
        };
        Ok(Self { at, connect })
    }
}

impl At {
    async fn connection(&self) -> Result<Connection, Failure> {
        let address = Address { host: self.host.clone(), port: self.port, tls: None };
        let login = Login {
            user: self.user.clone(),
            database: self.database.clone(),
            password: Some(Secret::new(self.password.clone())),
            // What somebody else would have to agree to does not wait for them here.
            parameters: vec![("gov.wait".to_owned(), "off".to_owned())],
        };
        Connection::open(&address, &login).await.map_err(|error| {
            Failure::new(Kind::Gateway, "the session on the scratch copy gave no connection")
                .detail(format!("{error}."))
        })
    }
}

fn lost(error: &QueryError) -> Failure {
    Failure::new(Kind::Database, "the scratch copy did not answer").detail(format!("{error}."))
}
