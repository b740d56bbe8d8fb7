//! The handle of a test: what there is, what is broken, what was asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use cairn_runtime::clock::Clock;
use serde_json::Value;
use tokio::sync::watch;

use super::aggregating::{Services, Stub};
use super::fault::{Fault, Faults};
use super::kinds;
use super::objects::Objects;
use super::rbac::{Act, Caller, Rbac};
use super::review::{Minted, Permit, Reviews};
use super::writing::{self, By, Refused};
use crate::pki::Leaf;

/// Looks at a simulated API server, changes it and breaks it. All clones are one.
#[derive(Clone, Debug, Default)]
pub struct Control {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: Mutex<Objects>,
    faults: Mutex<Faults>,
    reviews: Mutex<Reviews>,
    /// Who has which bearer token.
    callers: Mutex<BTreeMap<String, Caller>>,
    /// `None` lets everybody do everything.
    rbac: Mutex<Option<Rbac>>,
    /// The roles and bindings are those that are stored.
    is_stored: AtomicBool,
    /// Answers to `GET` of whole paths.
    documents: Mutex<BTreeMap<String, Value>>,
    requests: Mutex<BTreeMap<(String, String), u64>>,
    told: watch::Sender<Told>,
    services: Mutex<Services>,
    /// By how much its clock is ahead of the machine's, ms.
    ahead_ms: AtomicI64,
}

/// What open watches are to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Changes so far.
    changes: u64,
    /// How often bookmarks were asked for.
    pub(super) bookmarks: u64,
    /// How often all watches were closed.
    pub(super) closed: u64,
    /// How often all watches were told that their version is gone.
    pub(super) expired: u64,
}

impl Control {
    /// One with the recorded nodes, namespaces and pods.
    pub(super) fn recorded() -> Result<Self> {
        let control = Self::default();
        for resource in ["namespaces", "nodes", "pods"] {
            for object in recorded(resource)? {
                control.put(resource, object);
            }
        }
        Ok(control)
    }

    /// Adds an object or takes the place of the one of its name. `resource` is the plural of a kind that is served
    /// (`kinds`), such as `pods`; the version is the server's own.
    pub fn put(&self, resource: &'static str, object: Value) {
        self.objects().put(resource, object);
        self.changed(resource);
    }

    /// Changes an object; false when there is none of this name. The namespace of a node is empty.
    pub fn change(
        &self,
        resource: &'static str,
        (namespace, name): (&str, &str),
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let found = self.objects().get(resource, namespace, name).cloned();
        let Some(mut object) = found else {
            return false;
        };
        change(&mut object);
        self.put(resource, object);
        true
    }

    /// Changes an object as somebody does who is called `manager` in its managed fields; false when there is
    /// none of this name, or the server would refuse it.
    pub fn write_as(
        &self,
        manager: &str,
        resource: &'static str,
        (namespace, name): (&str, &str),
        change: impl FnOnce(&mut Value),
    ) -> bool {
        let now_ms = self.now_ms();
        self.write(resource, (namespace, name), |held| {
            let mut new = held.clone();
            change(&mut new);
            writing::replaced((resource, name), held, new, By { manager, now_ms })
        })
        .is_some_and(|written| written.is_ok())
    }

    /// Puts what `make` makes of an object into its place; `None` when there is none of this name. Nobody
    /// else writes meanwhile.
    pub(super) fn write(
        &self,
        resource: &'static str,
        (namespace, name): (&str, &str),
        make: impl FnOnce(&Value) -> Result<Value, Refused>,
    ) -> Option<Result<Value, Refused>> {
        let mut objects = self.objects();
        let made = make(objects.get(resource, namespace, name)?);
        let written = made.map(|new| {
            objects.put(resource, new);
            objects.get(resource, namespace, name).cloned()
        });
        drop(objects);
        self.changed(resource);
        Some(written.map(Option::unwrap_or_default))
    }

    /// Removes an object; false when there is none of this name.
    pub fn delete(&self, resource: &'static str, namespace: &str, name: &str) -> bool {
        let deleted = self.objects().delete(resource, namespace, name);
        self.changed(resource);
        deleted
    }

    /// Adds the object that `make` makes, knowing all others. Nobody else writes meanwhile.
    pub(super) fn create(
        &self,
        resource: &'static str,
        make: impl FnOnce(&Objects) -> Result<Value, Refused>,
    ) -> Result<Value, Refused> {
        let mut objects = self.objects();
        let made = make(&objects)?;
        let version = objects.put(resource, made.clone());
        drop(objects);
        self.changed(resource);
        let mut made = made;
        made["metadata"]["resourceVersion"] = version.to_string().into();
        Ok(made)
    }

    /// Writes the status of an object, as its controller does, where it is another one and the object is there.
    pub fn set_status(
        &self,
        resource: &'static str,
        (namespace, name): (&str, &str),
        status: &Value,
    ) {
        let held = self.get(resource, namespace, name);
        if held.is_some_and(|held| held["status"] != *status) {
            drop(self.write(resource, (namespace, name), |held| {
                let mut new = held.clone();
                new["status"] = status.clone();
                Ok(new)
            }));
        }
    }

    /// Removes every object of a namespace, as it ends.
    pub(super) fn empty(&self, namespace: &str) {
        for kind in kinds::KINDS.iter().filter(|kind| kind.is_namespaced) {
            let within = self.objects().list(kind.resource, Some(namespace));
            for object in within {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                self.delete(kind.resource, namespace, name);
            }
        }
    }

    /// All objects of a resource, by namespace and name.
    #[must_use]
    pub fn list(&self, resource: &str) -> Vec<Value> {
        let objects = self.objects().list(resource, None);
        objects.iter().map(|object| Value::clone(object)).collect()
    }

    /// Something has changed: watches look, and roles that are enforced as they are stored are read again.
    fn changed(&self, resource: &str) {
        let is_of_rights =
            kinds::of_resource(resource).is_some_and(|kind| kind.group == kinds::RBAC);
        if is_of_rights && self.state.is_stored.load(Ordering::Relaxed) {
            self.read_rights();
        }
        self.state.told.send_modify(|told| told.changes += 1);
    }

    fn read_rights(&self) {
        let of_rights = kinds::KINDS.iter().filter(|kind| kind.group == kinds::RBAC);
        let objects: Vec<Value> = of_rights
            .flat_map(|kind| self.list(kind.resource))
            .collect();
        let mut rbac = lock(&self.state.rbac);
        rbac.get_or_insert_default().read(&objects);
    }

    /// The object of this name.
    #[must_use]
    pub fn get(&self, resource: &'static str, namespace: &str, name: &str) -> Option<Value> {
        self.objects().get(resource, namespace, name).cloned()
    }

    /// How many objects of a resource there are.
    #[must_use]
    pub fn count(&self, resource: &str) -> usize {
        self.objects().count(resource)
    }

    /// What a `GET` of this path answers from now on, such as a `ConfigMap`.
    pub fn put_document(&self, path: &str, document: Value) {
        lock(&self.state.documents).insert(path.to_owned(), document);
    }

    /// Forgets all changes so far: watches that begin before now, and further pages of lists, are
    /// told 410.
    pub fn forget(&self) {
        self.objects().forget();
    }

    /// Ends all open watches with 410.
    pub fn expire_watches(&self) {
        self.state.told.send_modify(|told| told.expired += 1);
    }

    /// Ends all open watches, as a server does that is started anew.
    pub fn close_watches(&self) {
        self.state.told.send_modify(|told| told.closed += 1);
    }

    /// Sends a bookmark to every watch that asked for them.
    pub fn bookmark(&self) {
        self.state.told.send_modify(|told| told.bookmarks += 1);
    }

    /// Breaks so many requests of a verb (`list`, `watch`, `get`, `create`, `update`, `patch`, `delete`) and a
    /// resource.
    pub fn fault(&self, verb: &str, resource: &str, fault: Fault, requests: u64) {
        lock(&self.state.faults).set(verb, resource, fault, requests);
    }

    /// Mends what faults are left.
    pub fn mend(&self) {
        lock(&self.state.faults).mend();
    }

    /// How many requests of a verb and a resource came, refused and broken ones too; each page of a
    /// list is one.
    #[must_use]
    pub fn requests(&self, verb: &str, resource: &str) -> u64 {
        let of = (verb.to_owned(), resource.to_owned());
        lock(&self.state.requests).get(&of).copied().unwrap_or(0)
    }

    /// All requests so far, by verb and resource.
    #[must_use]
    pub fn all_requests(&self) -> BTreeMap<(String, String), u64> {
        lock(&self.state.requests).clone()
    }

    /// Sets its clock: by how much it is ahead of the machine's, ms. What it says of its time, in the header `Date`
    /// and in managed fields, is by it.
    pub fn set_clock_ahead_ms(&self, ahead_ms: i64) {
        self.state.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }

    /// The time by its clock, Unix ms.
    pub(super) fn now_ms(&self) -> u64 {
        let ahead_ms = self.state.ahead_ms.load(Ordering::Relaxed);
        Clock::system().unix_ms().saturating_add_signed(ahead_ms)
    }

    /// Lets requests with this bearer token in, as the aggregator's service account.
    pub fn let_in(&self, token: &str) {
        self.let_in_account(token, "cairn", "cairn-aggregator");
    }

    /// Lets requests with this bearer token in, as a service account.
    pub fn let_in_account(&self, token: &str, namespace: &str, name: &str) {
        let caller = Caller::account(namespace, name);
        lock(&self.state.callers).insert(token.to_owned(), caller);
    }

    /// Lets requests with this bearer token in, as this user of these groups.
    pub fn let_in_as(&self, token: &str, user: &str, groups: &[&str]) {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push("system:authenticated".to_owned());
        let user = user.to_owned();
        lock(&self.state.callers).insert(token.to_owned(), Caller { user, groups });
    }

    /// Holds everybody to the roles and bindings among these objects from now on, in requests and reviews.
    pub fn enforce(&self, objects: &[Value]) {
        *lock(&self.state.rbac) = Some(Rbac::new(objects));
    }

    /// Holds everybody to the roles and bindings that are stored, as they are from now on at each moment.
    pub fn enforce_stored(&self) {
        self.state.is_stored.store(true, Ordering::Relaxed);
        self.read_rights();
    }

    /// The rights that were enforced and that nothing has used, such as `ClusterRole x: watch pods`.
    #[must_use]
    pub fn unused_rights(&self) -> Vec<String> {
        lock(&self.state.rbac)
            .as_ref()
            .map(Rbac::unused)
            .unwrap_or_default()
    }

    /// Answers requests with this bearer token with 401 from now on.
    pub fn lock_out(&self, token: &str) {
        lock(&self.state.callers).remove(token);
    }

    /// Requests that the enforced roles refused, each once, in the words of the refusal.
    #[must_use]
    pub fn refused_acts(&self) -> Vec<String> {
        lock(&self.state.rbac)
            .as_ref()
            .map(Rbac::refused)
            .unwrap_or_default()
    }

    /// Makes a token that reviews know. It is good as long as [`Minted`] says, its pod is there and
    /// nobody revoked it.
    #[must_use]
    pub fn mint(&self, minted: Minted) -> String {
        lock(&self.state.reviews).mint(minted)
    }

    /// Lets reviews know a token that was made elsewhere.
    pub fn know(&self, token: &str, minted: Minted) {
        lock(&self.state.reviews).know(token.to_owned(), minted);
    }

    /// Makes a token that reviews do not know any more.
    pub fn revoke(&self, token: &str) {
        lock(&self.state.reviews).revoke(token);
    }

    /// Lets somebody do something from now on, as far as reviews say.
    pub fn permit(&self, permit: Permit) {
        lock(&self.state.reviews).permit(permit);
    }

    /// Takes what [`Control::permit`] gave.
    pub fn forbid(&self, permit: &Permit) {
        lock(&self.state.reviews).forbid(permit);
    }

    /// Serves a group of APIs in a Service's place, as somebody does who is none of Cairn's processes.
    pub fn stub(&self, stub: Stub) {
        lock(&self.state.services).stubs.push(stub);
    }

    /// Shows services who asks for others.
    pub(super) fn set_proxy(&self, client: Leaf) {
        lock(&self.state.services).client = Some(client);
    }

    /// Who stands for this Service, if somebody does, and what it is shown.
    pub(super) fn service(&self, namespace: &str, name: &str) -> (Option<Stub>, Option<Leaf>) {
        let services = lock(&self.state.services);
        let is_it = |stub: &&Stub| stub.service.0 == namespace && stub.service.1 == name;
        let stub = services.stubs.iter().find(is_it).cloned();
        (stub, services.client.clone())
    }

    pub(super) fn objects(&self) -> MutexGuard<'_, Objects> {
        lock(&self.state.objects)
    }

    pub(super) fn reviews(&self) -> MutexGuard<'_, Reviews> {
        lock(&self.state.reviews)
    }

    pub(super) fn document(&self, path: &str) -> Option<Value> {
        lock(&self.state.documents).get(path).cloned()
    }

    pub(super) fn told(&self) -> watch::Receiver<Told> {
        self.state.told.subscribe()
    }

    /// Counts a request and says how it is broken.
    pub(super) fn count_request(&self, verb: &str, resource: &str) -> Option<Fault> {
        let of = (verb.to_owned(), resource.to_owned());
        *lock(&self.state.requests).entry(of).or_default() += 1;
        lock(&self.state.faults).take(verb, resource)
    }

    /// Who the `Authorization` header says that asks; `None` keeps the request out.
    pub(super) fn caller(&self, authorization: Option<&[u8]>) -> Option<Caller> {
        let token = authorization?.strip_prefix(b"Bearer ")?;
        let token = std::str::from_utf8(token).ok()?;
        lock(&self.state.callers).get(token).cloned()
    }

    /// Lets a request through by the enforced roles; every one where none are.
    pub(super) fn admit(&self, who: &Caller, act: &Act) -> Result<(), String> {
        let mut rbac = lock(&self.state.rbac);
        rbac.as_mut().map_or(Ok(()), |rbac| rbac.admit(who, act))
    }

    /// Whether the enforced roles let somebody do something; nothing where none are.
    pub(super) fn grants(&self, who: &Caller, act: &Act) -> bool {
        let mut rbac = lock(&self.state.rbac);
        rbac.as_mut().is_some_and(|rbac| rbac.allows(who, act))
    }
}

/// The objects of a recorded list, such as `pods`.
///
/// # Errors
///
/// When there is none.
pub fn recorded(resource: &str) -> Result<Vec<Value>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apiserver-1.36");
    let path = fixtures.join(format!("{resource}.json"));
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let mut list: Value = serde_json::from_slice(&text)?;
    let items = list["items"].as_array_mut().context("no items")?;
    Ok(std::mem::take(items))
}

/// Nothing here leaves a half-done change behind, so a poisoned lock is as good as a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
