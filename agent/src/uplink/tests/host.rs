//! The addresses of one host: which of them have sessions, and when a change is noticed.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

use cairn_runtime::lookup::{Lookups, Resolver};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Group;
use cairn_runtime::tls::Trust;

use super::*;
use crate::config::Aggregator;
use crate::uplink::connect::{Link, Links};
use crate::uplink::host::{Kept, keep};

/// Addresses that are streamed to at most.
const MOST: u8 = 8;

/// What the name service says, and what the aggregators behind the addresses saw.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    /// The addresses by their last number; `None` while nobody answers.
    names: Option<Vec<u8>>,
    /// Addresses at which nobody is.
    down: Vec<u8>,
    /// When the name was looked up.
    asked: Vec<Instant>,
    sessions: BTreeMap<u8, Sessions>,
}

/// Of one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sessions {
    began: Vec<Instant>,
    ended: Vec<Instant>,
    rows: u64,
}

fn number(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(_) => panic!("none is told"),
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap()
    }

    fn tells(&self, names: impl IntoIterator<Item = u8>) {
        self.lock().names = Some(names.into_iter().collect());
    }

    fn of(&self, address: u8) -> Sessions {
        let sessions = self.lock().sessions.get(&address).cloned();
        sessions.unwrap_or_default()
    }

    /// Addresses whose session lives.
    fn living(&self) -> Vec<u8> {
        let seen = self.lock();
        let all = seen.sessions.iter();
        let living = all.filter(|(_, of)| of.began.len() > of.ended.len());
        living.map(|(address, _)| *address).collect()
    }

    /// An aggregator behind an address: welcomes the agent and listens.
    async fn listen(self, address: u8, mut fake: Fake) {
        fake.welcome().await;
        let change = |change: &mut dyn FnMut(&mut Sessions)| {
            change(self.lock().sessions.entry(address).or_default());
        };
        change(&mut |of| of.began.push(Instant::now()));
        while let Some(kind) = fake.whenever().await {
            if matches!(kind, Kind::Row(_)) {
                change(&mut |of| of.rows += 1);
            }
        }
        change(&mut |of| of.ended.push(Instant::now()));
    }
}

impl Resolver for World {
    async fn addresses(&mut self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut seen = self.lock();
        seen.asked.push(Instant::now());
        let names = seen.names.iter().flatten();
        let found = names.map(|last| SocketAddr::from(([10, 0, 0, *last], port)));
        let found: Vec<SocketAddr> = found.collect();
        let answer = seen.names.is_some().then_some(found);
        answer.ok_or_else(|| io::Error::other("nobody answers"))
    }
}

/// Connections to the aggregators of a world.
#[derive(Clone)]
struct Pipes(World, Group);

impl Links for Pipes {
    async fn open(&self, address: SocketAddr) -> Result<Link, End> {
        let Self(world, group) = self;
        let address = number(address);
        if world.lock().down.contains(&address) {
            return Err(End::new(EndKind::Connect, "nobody is there"));
        }
        let (fake, link) = Fake::connect().await;
        let listening = world.clone().listen(address, fake);
        group.try_spawn(listening).expect("few sessions");
        Ok(link)
    }
}

/// A host whose sessions are kept, from now on.
struct Host {
    world: World,
    setup: Setup,
    began: Instant,
    token: Token,
    group: Group,
}

impl Host {
    fn begin(names: impl IntoIterator<Item = u8>) -> Self {
        Self::of(World::default(), names)
    }

    fn of(world: World, names: impl IntoIterator<Item = u8>) -> Self {
        world.tells(names);
        let (setup, token) = (setup(), Token::new());
        let group = Group::new("test", 256);
        let target = Aggregator {
            host: "aggregator".to_owned(),
            port: 8443,
            server_name: "aggregator".try_into().unwrap(),
            trust: Trust::insecure(),
            client: None,
        };
        let pipes = Pipes(world.clone(), group.clone());
        let kept = Kept::new(target, pipes, setup.clone());
        let lookups = Lookups::by(world.clone());
        group.try_spawn(keep(kept, lookups, token.clone())).unwrap();
        Self {
            world,
            setup,
            began: Instant::now(),
            token,
            group,
        }
    }

    /// Lets everything go on until so many seconds after the beginning, and half a second more.
    async fn until(&self, seconds: u64) {
        let at = Duration::from_secs(seconds) + Duration::from_millis(500);
        tokio::time::sleep_until(self.began + at).await;
    }

    fn seconds(&self, times: &[Instant]) -> Vec<u64> {
        let times = times.iter();
        times.map(|at| (*at - self.began).as_secs()).collect()
    }

    fn asked(&self) -> Vec<u64> {
        self.seconds(&self.world.lock().asked)
    }

    fn gauges(&self) -> (i64, i64) {
        let metrics = &self.setup.metrics;
        (metrics.addresses.get(), metrics.sessions.get())
    }

    /// Everything ends; nobody is streamed to any more.
    async fn end(self) {
        self.token.cancel();
        self.setup.ring.close();
        assert_eq!(self.group.drained(Duration::from_secs(10)).await, 0);
        assert_eq!(self.world.living(), Vec::<u8>::new());
        assert_eq!(self.setup.metrics.sessions.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_two_addresses_has_its_session_and_every_row() {
    let host = Host::begin([1, 2]);
    host.until(0).await;
    let def = def();
    for second in 1..4 {
        sample(&host.setup.ring, 1, &def);
        host.until(second).await;
    }
    for address in [1, 2] {
        let of = host.world.of(address);
        assert_eq!((of.began.len(), of.ended.len(), of.rows), (1, 0, 3));
    }
    assert_eq!(host.gauges(), (2, 2));
    host.end().await;
}

#[tokio::test(start_paused = true)]
async fn of_more_than_eight_addresses_the_rest_has_none_and_that_is_said() {
    let host = Host::begin(1..=MOST + 3);
    host.until(40).await;
    assert_eq!(host.world.living(), (1..=MOST).collect::<Vec<_>>());
    assert_eq!(host.gauges(), (MOST.into(), MOST.into()));
    let said = host.setup.readiness.render(true).1;
    let expected = "the name has 11 addresses, of which the first 8 are used: check --aggregator";
    assert!(said.contains(expected), "{said}");
    host.world.tells(1..=MOST);
    host.until(80).await;
    let said = host.setup.readiness.render(true).1;
    assert!(!said.contains("addresses"), "{said}");
    assert_eq!(host.world.living(), (1..=MOST).collect::<Vec<_>>());
    host.end().await;
}

/// Scenario: of eight addresses one is replaced by another.
/// Guarantees: the new one waits for the place of the old one, no longer, and there are never nine.
#[tokio::test(start_paused = true)]
async fn a_ninth_address_waits_for_the_place_of_one_that_is_gone() {
    let host = Host::begin(1..=MOST);
    host.until(36).await;
    host.world.tells(2..=MOST + 1);
    host.until(94).await;
    assert_eq!(host.world.living(), (1..=MOST).collect::<Vec<_>>());
    assert_eq!(host.gauges(), (MOST.into(), MOST.into()));
    // Given up at 95 s, which a session is told a second later; then it is looked up again.
    host.until(130).await;
    assert_eq!(host.world.living(), (2..=MOST + 1).collect::<Vec<_>>());
    host.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_all_is_well_a_new_address_is_found_within_thirty_seconds() {
    let host = Host::begin([1]);
    host.until(36).await;
    // At the first look-up no session was there yet.
    assert_eq!(host.asked(), [0, 5, 35]);
    host.world.tells([1, 2]);
    host.until(130).await;
    assert_eq!(host.seconds(&host.world.of(2).began), [65]);
    // The new one is looked after as the first one was.
    assert_eq!(host.asked(), [0, 5, 35, 65, 70, 100, 130]);
    assert_eq!(host.world.of(1).began.len(), 1);
    host.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_an_address_is_down_a_new_one_is_found_within_five_seconds() {
    let world = World::default();
    world.lock().down.push(1);
    let host = Host::of(world, [1, 2]);
    host.until(21).await;
    assert_eq!(host.asked(), [0, 5, 10, 15, 20]);
    host.world.tells([1, 2, 3]);
    host.until(30).await;
    assert_eq!(host.seconds(&host.world.of(3).began), [25]);
    assert_eq!((host.world.living(), host.gauges()), (vec![2, 3], (3, 2)));
    host.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_gone_for_a_minute_is_dropped_and_for_less_is_kept() {
    let host = Host::begin([1, 2, 3]);
    host.until(36).await;
    // Both were told last at 35 s.
    host.world.tells([1]);
    host.until(66).await;
    assert_eq!(host.world.living(), [1, 2, 3]);
    host.world.tells([1, 2]);
    host.until(94).await;
    assert_eq!(host.world.living(), [1, 2, 3]);
    assert_eq!(host.gauges(), (3, 3));
    host.until(130).await;
    assert_eq!(host.world.living(), [1, 2]);
    assert_eq!(host.gauges(), (2, 2));
    // It ends a second after it was given up: until then the whole process may be about to stop.
    assert_eq!(host.seconds(&host.world.of(3).ended), [96]);
    let kept = host.world.of(2);
    assert_eq!((kept.began.len(), kept.ended.len()), (1, 0));
    host.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_nobody_answers_for_the_name_every_address_is_kept() {
    let host = Host::begin([1, 2]);
    host.until(1).await;
    host.world.lock().names = None;
    host.until(300).await;
    assert_eq!(host.world.living(), [1, 2]);
    let said = host.setup.readiness.render(true).1;
    assert!(
        said.contains("nobody answers: check --aggregator"),
        "{said}"
    );
    let kind = EndKind::Resolve.as_str();
    let ends = host
        .setup
        .metrics
        .ends
        .get_or_create(&ByKind { kind })
        .get();
    assert_eq!(ends, host.asked().len() as u64 - 1);
    // An answer without the second one counts from the last answer that had it.
    host.world.tells([1]);
    host.until(400).await;
    assert_eq!(host.world.living(), [1]);
    host.end().await;
}

/// Scenario: the only aggregator is replaced by another one at another address.
/// Guarantees: the name is looked up as soon as the session has ended.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_has_the_name_looked_up_at_once() {
    let host = Host::begin([1]);
    host.until(40).await;
    host.world.lock().down.push(1);
    host.world.tells([2]);
    // Whatever ends it: here its run is over.
    host.setup.ring.begin(Run {
        epoch_ms: 6,
        clock_stepped: true,
        ..RUN
    });
    host.until(41).await;
    assert_eq!(host.seconds(&host.world.of(2).began), [40]);
    host.end().await;
}
