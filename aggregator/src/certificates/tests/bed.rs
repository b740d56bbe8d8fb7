//! An API server of four objects, replicas that look at it, and agents whose copy of the bundle is late.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cairn_runtime::clock::Clock;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::tls::{self, Chain, Identity, ServerName, Trust};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use testkit::rfc3339;

use super::super::keeper::{Keeper, Parts};
use super::super::metrics::Metrics;
use super::super::requests::{Answered, Requests};
use crate::cluster::{Dated, Error};
use crate::config::SelfManaged;

pub(super) const START_S: u64 = 1_800_000_000;

pub(super) const SECRET: &str = "/api/v1/namespaces/cairn/secrets/cairn-aggregator-tls";
pub(super) const CONFIG_MAP: &str = "/api/v1/namespaces/cairn/configmaps/cairn-ca";
pub(super) const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/cairn/leases/cairn-aggregator-tls";
pub(super) const API_SERVICE: &str =
    "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

/// For the step of a clock.
const DEADLINE: Duration = Duration::from_secs(10);

/// Later than the kubelet brings a `ConfigMap` into a pod.
pub(super) const LAG_S: u64 = 120;

/// Keeps objects by their paths, and takes a write only of the version that is there.
#[derive(Debug)]
pub(super) struct Played {
    objects: Mutex<BTreeMap<String, Value>>,
    version: AtomicU64,
    away: AtomicBool,
    // Its clock, but for an error of its own, s.
    clock: Clock,
    ahead_s: AtomicI64,
    says_date: AtomicBool,
    // Writes of these paths are refused with this status.
    refused: Mutex<BTreeMap<String, u16>>,
    /// Verb and path of each write that was taken.
    pub(super) writes: Mutex<Vec<(&'static str, String)>>,
}

impl Played {
    /// As the manifests ship them.
    fn shipped(clock: &Clock) -> Self {
        let played = Self {
            objects: Mutex::default(),
            version: AtomicU64::default(),
            away: AtomicBool::default(),
            clock: clock.clone(),
            ahead_s: AtomicI64::default(),
            says_date: AtomicBool::new(true),
            refused: Mutex::default(),
            writes: Mutex::default(),
        };
        for path in [SECRET, CONFIG_MAP, LEASE] {
            played.set(path, json!({"metadata": {"name": "x"}}));
        }
        played.set(
            API_SERVICE,
            json!({"metadata": {"name": "v1beta1.metrics.k8s.io"},
                   "spec": {"service": {"namespace": "cairn", "name": "cairn-aggregator"}}}),
        );
        played
    }

    pub(super) fn set(&self, path: &str, mut object: Value) {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    pub(super) fn object(&self, path: &str) -> Value {
        self.objects.lock().unwrap()[path].clone()
    }

    pub(super) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.object(path);
        change(&mut object);
        self.set(path, object);
    }

    pub(super) fn remove(&self, path: &str) {
        self.objects.lock().unwrap().remove(path);
    }

    pub(super) fn go_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Refuses writes of an object with this status from now on; 0 takes them again.
    pub(super) fn refuse(&self, path: &str, code: u16) {
        self.refused.lock().unwrap().insert(path.to_owned(), code);
    }

    /// By how much its clock is ahead of that of the replicas.
    pub(super) fn set_ahead_s(&self, ahead_s: i64) {
        self.ahead_s.store(ahead_s, Ordering::Relaxed);
    }

    /// Whether its answers have the header `Date`.
    pub(super) fn says_date(&self, says: bool) {
        self.says_date.store(says, Ordering::Relaxed);
    }

    fn now_s(&self) -> u64 {
        let now_s = self.clock.unix_ms() / 1000;
        now_s.saturating_add_signed(self.ahead_s.load(Ordering::Relaxed))
    }

    /// How many writes of an object were taken.
    pub(super) fn written(&self, path: &str) -> usize {
        let writes = self.writes.lock().unwrap();
        writes.iter().filter(|(_, written)| written == path).count()
    }

    fn answer(&self, path: &str) -> Result<Dated, Error> {
        if self.away.load(Ordering::Relaxed) {
            let why = "connection refused".to_owned();
            return Err(Error::Broken { why });
        }
        let objects = self.objects.lock().unwrap();
        let found = objects.get(path).ok_or_else(|| status(404, path))?;
        let says_date = self.says_date.load(Ordering::Relaxed);
        Ok(Dated {
            body: found.to_string().into(),
            date: says_date.then(|| rfc3339::date(self.now_s())),
        })
    }

    fn replace(&self, verb: &'static str, path: &str, mut object: Value) -> Result<Dated, Error> {
        self.answer(path)?;
        let refused = self.refused.lock().unwrap().get(path).copied();
        if let Some(code) = refused.filter(|code| *code != 0) {
            return Err(status(code, path));
        }
        if self.object(path)["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"]
        {
            return Err(status(409, path));
        }
        if path == LEASE {
            let time = rfc3339::format(self.now_s() * 1000);
            object["metadata"]["managedFields"] =
                json!([{"manager": "cairn-aggregator", "time": time}]);
        }
        self.set(path, object);
        self.writes.lock().unwrap().push((verb, path.to_owned()));
        self.answer(path)
    }
}

fn status(code: u16, path: &str) -> Error {
    Error::Status {
        code,
        path: path.to_owned(),
        message: String::new(),
        retry_after: None,
    }
}

async fn set(clock: &Clock, by_s: i64) {
    let to = clock.unix_ms().saturating_add_signed(by_s * 1000);
    clock.jump(to, DEADLINE).await.unwrap();
}

/// Without what stands after the `?`.
fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

impl Requests for Played {
    fn get<'a>(&'a self, path: &'a str) -> Answered<'a> {
        Box::pin(async move {
            // Replicas that look at the same time take turns.
            tokio::task::yield_now().await;
            self.answer(bare(path))
        })
    }

    fn put<'a>(&'a self, path: &'a str, object: Vec<u8>) -> Answered<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let object = serde_json::from_slice(&object).unwrap();
            self.replace("put", bare(path), object)
        })
    }

    fn patch<'a>(&'a self, path: &'a str, patch: Vec<u8>) -> Answered<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            self.answer(bare(path))?;
            let mut object = self.object(bare(path));
            let patch: Vec<Value> = serde_json::from_slice(&patch).unwrap();
            for step in patch {
                let at = step["path"].as_str().unwrap();
                match step["op"].as_str().unwrap() {
                    "test" if object.pointer(at) != Some(&step["value"]) => {
                        return Err(status(422, path));
                    }
                    "test" => {}
                    "add" => {
                        let (within, name) = at.rsplit_once('/').unwrap();
                        object.pointer_mut(within).unwrap()[name] = step["value"].clone();
                    }
                    other => panic!("{other}"),
                }
            }
            self.replace("patch", bare(path), object)
        })
    }
}

/// One replica.
pub(super) struct Replica {
    pub(super) keeper: Keeper,
    clock: Clock,
    pub(super) identity: Arc<Identity>,
    pub(super) readiness: Readiness,
    pub(super) metrics: Metrics,
}

impl Replica {
    /// Lines of the log that say that something is wrong, or is in order again, so far.
    pub(super) fn said(&self) -> usize {
        self.keeper.said()
    }

    /// What is wrong, as `/readyz?verbose` has it.
    pub(super) fn notes(&self) -> String {
        let notes = self.readiness.degraded();
        notes
            .into_iter()
            .map(|(name, text)| format!("{name}: {text}\n"))
            .collect()
    }
}

/// All of it.
pub(super) struct Bed {
    pub(super) api: Arc<Played>,
    // The right time, which the API server has unless it was set ahead.
    clock: Clock,
    pub(super) replicas: Vec<Replica>,
    names: Vec<ServerName<'static>>,
    // What the ConfigMap had, and since when.
    bundles: VecDeque<(u64, String)>,
}

impl Bed {
    pub(super) fn new(replicas: usize) -> Self {
        Self::with_api_service(replicas, None)
    }

    pub(super) fn with_api_service(replicas: usize, api_service: Option<&str>) -> Self {
        let config = SelfManaged {
            namespace: "cairn".to_owned(),
            secret: "cairn-aggregator-tls".to_owned(),
            config_map: "cairn-ca".to_owned(),
            services: vec!["cairn-aggregator".to_owned(), "cairn-ingest".to_owned()],
            api_service: api_service.map(str::to_owned),
        };
        let clock = Clock::driven(START_S * 1000);
        let api = Arc::new(Played::shipped(&clock));
        let names = config.names();
        let names = names.iter().map(|name| tls::server_name(name).unwrap());
        let names = names.collect();
        let replica = |index| {
            let (identity, readiness) = (Identity::empty(), Readiness::new());
            let metrics = Metrics::new(&mut Registry::default());
            let clock = Clock::driven(START_S * 1000);
            let parts = Parts {
                config: config.clone(),
                api: Arc::clone(&api) as Arc<dyn Requests>,
                clock: clock.clone(),
                identity: Arc::clone(&identity),
                trust: Trust::empty(),
                readiness: readiness.clone(),
                metrics: metrics.clone(),
            };
            Replica {
                keeper: Keeper::named(parts, format!("replica-{index}")),
                clock,
                identity,
                readiness,
                metrics,
            }
        };
        let replicas = (0..replicas).map(replica).collect();
        Self {
            api,
            clock,
            replicas,
            names,
            bundles: VecDeque::new(),
        }
    }

    pub(super) fn now_s(&self) -> u64 {
        self.clock.unix_ms() / 1000
    }

    fn clocks(&self) -> impl Iterator<Item = &Clock> {
        let of_replicas = self.replicas.iter().map(|replica| &replica.clock);
        of_replicas.chain([&self.clock])
    }

    /// Time passes for everybody.
    pub(super) async fn pass(&mut self, seconds: u64) {
        for clock in self.clocks() {
            let to = clock.unix_ms() + seconds * 1000;
            clock.step(to, DEADLINE).await.unwrap();
        }
    }

    /// Somebody sets the clock of one replica by so much, and no time passes.
    pub(super) async fn set_clock(&mut self, index: usize, by_s: i64) {
        set(&self.replicas[index].clock, by_s).await;
    }

    /// The same of all clocks, that of the API server too.
    pub(super) async fn set_clocks(&mut self, by_s: i64) {
        for clock in self.clocks() {
            set(clock, by_s).await;
        }
    }

    /// Who holds the Lease; empty when it is nobody.
    pub(super) fn holder(&self) -> String {
        let lease = self.api.object(LEASE);
        let holder = lease["spec"]["holderIdentity"].as_str();
        holder.unwrap_or_default().to_owned()
    }

    pub(super) async fn look(&mut self, index: usize) {
        self.replicas[index].keeper.look().await;
        self.note_bundle();
    }

    /// The same while the `ConfigMap` is not there.
    pub(super) async fn look_without_bundle(&mut self, index: usize) {
        self.replicas[index].keeper.look().await;
    }

    /// Everybody looks, one after the other.
    pub(super) async fn look_all(&mut self) {
        for index in 0..self.replicas.len() {
            self.look(index).await;
        }
    }

    fn note_bundle(&mut self) {
        let bundle = self.bundle();
        if self.bundles.back().is_none_or(|(_, last)| *last != bundle) {
            self.bundles.push_back((self.now_s(), bundle));
        }
    }

    /// What the `ConfigMap` has now.
    pub(super) fn bundle(&self) -> String {
        let object = self.api.object(CONFIG_MAP);
        object["data"]["ca.crt"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// True when a bundle was written a short while ago.
    pub(super) fn is_fresh(&self) -> bool {
        let last = self.bundles.back().map_or(0, |(since, _)| *since);
        self.now_s() - last < 3 * LAG_S
    }

    /// What agents have: the bundle of two minutes ago.
    pub(super) fn late_bundle(&self) -> Option<Chain> {
        let before = self.now_s() - LAG_S;
        let had = self
            .bundles
            .iter()
            .rev()
            .find(|(since, _)| *since <= before);
        let (_, pem) = had.filter(|(_, pem)| !pem.is_empty())?;
        Some(Chain::parse("the agents' bundle", pem.as_bytes()).unwrap())
    }

    /// Whether a client that trusts these takes what a replica serves, under all of its names.
    pub(super) fn judge(&self, replica: usize, trusted: &Chain) -> Result<(), tls::Error> {
        let served = self.replicas[replica].identity.served().unwrap();
        served.verify(trusted, &self.names, self.now_s())
    }
}
