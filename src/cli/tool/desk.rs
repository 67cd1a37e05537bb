//! What the tools of one agent share: who it is, the resources it was given, their sessions, and results half read.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use super::query::Page;
use crate::cli::wish::WishArguments;
use crate::client::gateway::Gateway;
use crate::client::inside::Inside;
use crate::client::session::Wish;
use crate::domain::{Access, ApprovalId, Failure, Kind, ResourceName, SessionId};
use crate::runtime::random;
use crate::wire::api::{BudgetEntry, ResourceList, SessionList};

/// Calls that run at the same time. Further ones wait: an agent that asks a hundred things at once gets a hundred
/// answers, and the database four questions.
const CALLS_MAX: usize = 4;

/// Results half read. The oldest is dropped for a new one.
const PAGES_MAX: usize = 8;

/// What is left of one thing that may be used up.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Left {
    /// `session` or `day`: by this session, or by all sessions of this agent for this person since midnight UTC.
    of: String,
    /// `rows`, `bytes`, `statements`, `lookups` (values that masked columns were asked for) or `time_ms`.
    what: String,
    limit: u64,
    left: u64,
}

impl From<BudgetEntry> for Left {
    fn from(entry: BudgetEntry) -> Self {
        let BudgetEntry { of, what, used, limit } = entry;
        Self { of, what, limit, left: limit.saturating_sub(used) }
    }
}

/// Where the tools of one agent find what they need.
#[derive(Debug)]
pub(crate) struct Desk {
    agent: WishArguments,
    wishes: BTreeMap<ResourceName, Wish>,
    sessions: Mutex<BTreeMap<ResourceName, Arc<Inside>>>,
    pages: Mutex<Vec<(String, Page)>>,
    calls: Semaphore,
}

impl Desk {
    pub(in crate::cli) fn new(agent: WishArguments, wishes: BTreeMap<ResourceName, Wish>) -> Self {
        let (sessions, pages) = (Mutex::default(), Mutex::default());
        Self { agent, wishes, sessions, pages, calls: Semaphore::new(CALLS_MAX) }
    }

    /// The server, as the agent.
    pub(super) async fn gateway(&self) -> Result<Gateway, Failure> {
        self.agent.gateway().await
    }

    /// Waits until a call may run.
    pub(in crate::cli) async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.calls.acquire().await.map_err(|_| Failure::new(Kind::Gateway, "this is ending"))
    }

    /// Whether the agent was given a resource.
    pub(super) fn has(&self, name: &str) -> bool {
        self.wishes.keys().any(|known| known.as_str() == name)
    }

    /// The resource that is meant; the only one need not be named.
    pub(super) fn meant(&self, named: Option<&str>) -> Result<&ResourceName, Failure> {
        let given: Vec<_> = self.wishes.keys().map(|name| format!("`{name}`")).collect();
        let found = match named {
            Some(named) => self.wishes.keys().find(|known| known.as_str() == named),
            None => self.wishes.keys().next().filter(|_| given.len() == 1),
        };
        found.ok_or_else(|| {
            let message = match named {
                Some(_) => "this resource is not one of those this agent was given",
                None => "several resources are given: name one",
            };
            Failure::new(Kind::NotFound, message).detail(format!("There are: {}.", given.join(", ")))
        })
    }

    /// What a session of a resource is opened for.
    pub(super) fn access(&self, name: &ResourceName) -> Access {
        self.wishes.get(name).map_or(Access::Read, |wish| wish.access)
    }

    /// The session for a resource; opened when it is first needed, and anew when it has expired.
    pub(super) async fn session(&self, name: &ResourceName) -> Result<Arc<Inside>, Failure> {
        let mut sessions = self.sessions.lock().await;
        if let Some(inside) = sessions.get(name).filter(|inside| !inside.is_over()) {
            return Ok(Arc::clone(inside));
        }
        let wish = self.wishes.get(name).cloned();
        let wish = wish.ok_or_else(|| Failure::new(Kind::Internal, "a resource was lost"))?;
        let gateway = self.gateway().await?;
        // An agent that stops waiting must not leave a session behind that nobody ends.
        let opened = tokio::spawn(Inside::open(gateway, wish)).await;
        let opened = opened.map_err(|_| Failure::new(Kind::Internal, "the session could not be opened"))??;
        let inside = Arc::new(opened);
        sessions.insert(name.clone(), Arc::clone(&inside));
        Ok(inside)
    }

    /// What connections begin with. An agent does not wait for people: it is told what its statement needs, and comes
    /// back with the approval.
    pub(super) fn parameters(approval: Option<ApprovalId>) -> Vec<(String, String)> {
        let always = [("application_name", "gov mcp"), ("gov.wait", "off")];
        let always = always.map(|(name, value)| (name.to_owned(), value.to_owned()));
        always.into_iter().chain(approval.map(|id| ("gov.approval".to_owned(), id.to_string()))).collect()
    }

    /// What is left of the budgets of a session. Nothing when there are none, or when the server does not say: what it
    /// enforces does not depend on it.
    pub(super) async fn left(&self, session: SessionId) -> Vec<Left> {
        let Ok(gateway) = self.gateway().await else { return Vec::new() };
        let Ok(list) = gateway.get::<SessionList>("/v1/sessions").await else { return Vec::new() };
        let mine = list.sessions.into_iter().find(|entry| entry.session == session.to_string());
        mine.map(|entry| entry.budget.into_iter().map(Left::from).collect()).unwrap_or_default()
    }

    /// Keeps a result that is half read, and says under which name.
    pub(super) async fn keep(&self, page: Page) -> Result<String, Failure> {
        let name = random::record_id()?.to_string();
        let mut pages = self.pages.lock().await;
        if pages.len() >= PAGES_MAX {
            pages.remove(0);
        }
        pages.push((name.clone(), page));
        Ok(name)
    }

    /// A result that was kept. It is taken: a name works once.
    pub(super) async fn take(&self, name: &str) -> Option<Page> {
        let mut pages = self.pages.lock().await;
        let at = pages.iter().position(|(known, _)| known == name)?;
        Some(pages.remove(at).1)
    }

    /// What the agent may use, of what it was given.
    pub(super) async fn resources(&self) -> Result<ResourceList, Failure> {
        let mut list: ResourceList = self.gateway().await?.get("/v1/resources").await?;
        list.resources.retain(|entry| self.has(&entry.name));
        Ok(list)
    }

    /// Ends all sessions. What could not be ended at the gateway ends when its time is over.
    pub(in crate::cli) async fn close(&self) -> Vec<Failure> {
        self.pages.lock().await.clear();
        let sessions = std::mem::take(&mut *self.sessions.lock().await);
        let mut troubles = Vec::new();
        for inside in sessions.into_values() {
            troubles.extend(inside.end().await.err());
        }
        troubles
    }
}
