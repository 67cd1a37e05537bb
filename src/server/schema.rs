//! A resource's schema, read from the database and kept fresh: what both ends' engines resolve names against.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{info, warn};

use super::classification::Classifier;
use super::credential::{Lease, Revoked};
use super::live::LiveSessions;
use super::masking::DatabaseMasking;
use super::resource::Resource;
use crate::domain::{Failure, Grant, Kind, Masking};
use crate::engine::snapshot::{FINGERPRINT, PREPARE, QUERIES};
use crate::engine::{Catalog, FILLERS, Fill, Fillers, LeftBehind, MaskedViews, Overrules, Revealing, Snapshot, fills};

/// What a session that sets nothing has for `search_path`, as the broker sees it. Asked before [`PREPARE`] changes it.
const SEARCH_PATH: &str = "SELECT pg_catalog.array_to_json(pg_catalog.string_to_array(reset_val, ', ')) FROM pg_catalog.pg_settings \
     WHERE name = 'search_path'";

/// One reading of a schema.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) snapshot: Snapshot,
    pub(crate) catalog: Arc<Catalog>,
    /// The same for sessions that are masked in the database; nothing where that cannot be had.
    pub(crate) masked: Option<Arc<Catalog>>,
    /// The default search path.
    pub(crate) search_path: Vec<String>,
    /// What triggers and rules write where.
    fills: Arc<[Fill]>,
}

impl Reading {
    /// What a session goes by that is masked there. A role that sees views only goes on seeing nothing else; without them
    /// it is masked on the way as well.
    pub(crate) fn catalog_of(&self, masking: Masking) -> Arc<Catalog> {
        let masked = self.masked.as_ref().filter(|_| masking == Masking::Database);
        Arc::clone(masked.unwrap_or(&self.catalog))
    }

    /// The same where these are the views in the database now.
    fn masked_by(&self, views: Option<Arc<MaskedViews>>) -> Self {
        let masked = views.map(|views| Arc::new(self.catalog.seen_through(views)));
        let (snapshot, catalog) = (self.snapshot.clone(), Arc::clone(&self.catalog));
        Self { snapshot, catalog, masked, search_path: self.search_path.clone(), fills: Arc::clone(&self.fills) }
    }
}

/// The schema of one resource.
#[derive(Debug)]
pub(crate) struct Schema {
    resource: Arc<Resource>,
    sessions: Arc<LiveSessions>,
    classifier: Classifier,
    masking: DatabaseMasking,
    current: Mutex<Option<Arc<Reading>>>,
    /// Held while the schema is read, with the fingerprint of the last reading: one reading at a time.
    reading: tokio::sync::Mutex<Option<String>>,
}

impl Schema {
    pub(super) fn new(
        resource: Arc<Resource>,
        sessions: Arc<LiveSessions>,
        classifier: Classifier,
        masking: DatabaseMasking,
    ) -> Self {
        let (current, reading) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { resource, sessions, classifier, masking, current, reading }
    }

    pub(super) fn masking(&self) -> &DatabaseMasking {
        &self.masking
    }

    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// The schema as it is now: looked at, and read anew if it has changed. Cancel safe.
    pub(crate) async fn refreshed(&self) -> Result<Arc<Reading>, Failure> {
        let mut last = self.reading.lock().await;
        let broker = self.resource.broker();
        let fingerprint = broker.rows(FINGERPRINT).await?.first().and_then(|row| row.text(0)).map(str::to_owned);
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reading) = known.clone().filter(|_| fingerprint.is_some() && *last == fingerprint) {
            return Ok(reading);
        }
        let epoch = known.map_or(0, |reading| reading.snapshot.epoch) + 1;
        let reading = Arc::new(self.read(epoch).await?);
        *last = fingerprint;
        info!(resource = %self.resource.name, epoch, relations = reading.snapshot.relations.len(), "schema read");
        self.replace(&reading);
        Ok(reading)
    }

    /// Looks again at what relations hold, where it is time to. Cancel safe.
    pub(crate) async fn reclassified(&self) {
        let _last = self.reading.lock().await;
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(known) = known else { return };
        let (classification, news) = self.classifier.classify(&known.snapshot, &known.fills).await;
        // What could not be made is tried again. Sessions notice only when it comes out otherwise.
        let changed = async || self.masking.keep(&known.catalog).await.is_some() != known.masked.is_some();
        if !(news || self.masking.is_due().await && changed().await) {
            return;
        }
        let snapshot = Snapshot { epoch: known.snapshot.epoch + 1, ..known.snapshot.clone() };
        let catalog = Arc::new(Catalog::from_snapshot(&snapshot, classification));
        info!(resource = %self.resource.name, epoch = snapshot.epoch, news, "looked at again");
        let masked = self.masked(&catalog).await;
        let (search_path, fills) = (known.search_path.clone(), Arc::clone(&known.fills));
        self.replace(&Arc::new(Reading { snapshot, catalog, masked, search_path, fills }));
    }

    /// People say something else about columns: it is in force when this returns. Cancel safe: what is left undone is done
    /// when it is looked again.
    pub(crate) async fn overrule(&self, overrules: &Overrules) {
        if self.classifier.overrule(overrules) {
            self.reclassified().await;
        }
    }

    /// Takes away what another gateway left behind in the database, under this name.
    pub(crate) async fn unmask_left_behind(&self, name: &str) -> Result<(), Failure> {
        self.masking.remove_left_behind(name).await
    }

    /// What other gateways left behind there, each with why it is not taken away.
    pub(crate) async fn left_behind(&self) -> Result<Vec<LeftBehind>, Failure> {
        self.masking.left_behind().await
    }

    /// Takes the masks out of the database. Whoever is masked there sees nothing any more.
    pub(crate) async fn unmask(&self) -> Result<bool, Failure> {
        let _last = self.reading.lock().await;
        let removed = self.masking.remove().await?;
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            self.replace(&Arc::new(known.masked_by(None)));
        }
        Ok(removed)
    }

    /// The catalog of sessions that are masked in the database, once the views there are as they should be.
    async fn masked(&self, catalog: &Arc<Catalog>) -> Option<Arc<Catalog>> {
        let views = self.masking.keep(catalog).await?;
        Some(Arc::new(catalog.seen_through(views)))
    }

    /// Lets a session that is masked in the database see some columns as they are, by views of its own. Not cancel safe:
    /// [`Self::revoke`] what it has.
    pub(super) async fn reveal(&self, revealing: Revealing) -> Result<Arc<Reading>, Failure> {
        let _last = self.reading.lock().await;
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let known = known.ok_or_else(|| Failure::new(Kind::Internal, "the schema has not been read yet"))?;
        let views = self.masking.reveal(&known.catalog, revealing).await?;
        let reading = Arc::new(known.masked_by(Some(views)));
        self.replace(&reading);
        Ok(reading)
    }

    /// Ends what a session had in the database: its role, and the views that only it had.
    pub(super) async fn revoke(&self, grant: &Grant, lease: &Lease) -> Result<Revoked, Failure> {
        let reveals = grant.masking == Masking::Database && !grant.reveal.is_empty();
        if reveals {
            self.masking.forget(grant.session).await;
        }
        let revoked = self.resource.source.revoke(&self.resource, &lease.role).await;
        if reveals {
            self.masking.conceal(grant.session).await;
        }
        revoked
    }

    /// Everybody uses this reading from now on.
    fn replace(&self, reading: &Arc<Reading>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(reading));
        for live in self.sessions.all() {
            if live.grant.resource == self.resource.name {
                live.engine.replace_catalog(reading.catalog_of(live.grant.masking));
            }
        }
    }

    /// The last reading; the first when there is none.
    pub(crate) async fn current(&self) -> Result<Arc<Reading>, Failure> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(reading) => Ok(reading),
            None => self.refreshed().await,
        }
    }

    async fn read(&self, epoch: u64) -> Result<Reading, Failure> {
        let broker = self.resource.broker();
        let text =
            |rows: Vec<crate::runtime::database::Row>| rows.first().and_then(|row| row.text(0)).map(str::to_owned);
        let search_path = text(broker.rows(SEARCH_PATH).await?)
            .and_then(|json| serde_json::from_str::<Vec<String>>(&json).ok())
            .unwrap_or_default()
            .iter()
            .map(|word| word.trim_matches('"').to_owned())
            .collect();
        let mut answers: HashMap<&str, String> = HashMap::new();
        for query in QUERIES {
            // One text, one answer: the path is set for this question whatever connection it goes over.
            match broker.ask(&format!("{PREPARE}; {}", query.sql)).await {
                Ok(rows) => answers.extend(text(rows).map(|answer| (query.list, answer))),
                // What the broker may not see, the engine does not know, and what it does not know it does not allow.
                Err(error) => warn!(resource = %self.resource.name, list = query.list, error = %error, "not readable"),
            }
        }
        let snapshot = Snapshot::read(epoch, &self.resource.database, &answers).map_err(|error| {
            Failure::new(Kind::Database, format!("the schema of `{}` cannot be read", self.resource.name))
                .detail(format!("{error}."))
                .hint("tell whoever runs the gateway")
        })?;
        let fillers = text(broker.rows(&format!("{PREPARE}; {FILLERS}")).await?);
        let fillers: Fillers = serde_json::from_str(&fillers.unwrap_or_default()).map_err(|_| {
            Failure::new(Kind::Database, format!("the code of `{}` cannot be read", self.resource.name))
                .detail("What its triggers write where is not known.")
                .hint("tell whoever runs the gateway")
        })?;
        let fills: Arc<[Fill]> = fills(&snapshot, &fillers).into();
        // New relations are looked at before a session can see them.
        let (classification, _) = self.classifier.classify(&snapshot, &fills).await;
        let catalog = Arc::new(Catalog::from_snapshot(&snapshot, classification));
        let masked = self.masked(&catalog).await;
        Ok(Reading { snapshot, catalog, masked, search_path, fills })
    }
}
