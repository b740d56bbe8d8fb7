use std::collections::HashMap;
use std::time::Duration;

use super::super::activity::InFlight;
use super::*;

struct Client {
    network: Network,
    activity: Activity,
    held: Option<Held>,
    requests: Vec<InFlight>,
}

fn enter(places: &Places, address: impl Into<IpAddr>) -> Client {
    let (now, address) = (Instant::now(), address.into());
    let activity = Activity::new(now);
    let held = places.enter(address, &activity, now);
    Client {
        network: Network::of(address),
        activity,
        held,
        requests: Vec::new(),
    }
}

fn is_displaced(client: &Client) -> bool {
    client.activity.ordered() == Some(Closed::Displaced)
}

const CROWD: [u8; 4] = [192, 0, 2, 1];
const ALONE: [u8; 4] = [192, 0, 2, 2];

#[tokio::test(start_paused = true)]
async fn who_has_most_makes_room_by_what_rested_longest() {
    let places = Places::new(4);
    let alone = enter(&places, ALONE);
    tokio::time::advance(Duration::from_millis(1)).await;
    let first = enter(&places, CROWD);
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = enter(&places, CROWD);
    let third = enter(&places, CROWD);
    // Nobody has rested long enough to be told to go.
    assert!(enter(&places, ALONE).held.is_none());
    tokio::time::advance(Duration::from_secs(2)).await;
    let next = enter(&places, ALONE);
    assert!(next.held.is_some());
    let displaced = [&alone, &first, &second, &third].map(is_displaced);
    assert_eq!(displaced, [false, true, false, false]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_under_way_keeps_its_place_and_a_question_without_one_does_not_for_long() {
    let places = Places::new(2);
    let served = enter(&places, CROWD);
    let mut answering = served.activity.begin(true);
    answering.answered();
    let asking = enter(&places, CROWD);
    let question = asking.activity.begin(true);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(enter(&places, ALONE).held.is_none());
    tokio::time::advance(Duration::from_secs(6)).await;
    let next = enter(&places, ALONE);
    assert!(next.held.is_some() && is_displaced(&asking) && !is_displaced(&served));
    drop((answering, question));
}

#[tokio::test(start_paused = true)]
async fn places_come_back_and_none_means_none() {
    let places = Places::new(1);
    let one = enter(&places, ALONE);
    assert!(one.held.is_some() && enter(&places, ALONE).held.is_none());
    drop(one);
    assert!(enter(&places, ALONE).held.is_some());
    assert!(enter(&Places::new(0), ALONE).held.is_none());
}

/// Scenario: a host takes all places but one, each from another address of its own network; then it goes on.
/// Guarantees: it displaces itself, and the client of one connection stays, though it has rested for longest.
#[tokio::test(start_paused = true)]
async fn a_host_of_many_addresses_displaces_itself() {
    let places = Places::new(64);
    let alone = enter(&places, "2001:db8:0:1::1".parse::<IpAddr>().unwrap());
    let mut crowd = Vec::new();
    for n in 0..200_u128 {
        tokio::time::advance(Duration::from_millis(100)).await;
        let address = (0x2001_0db8_0000_0002_u128 << 64) | n;
        crowd.push(enter(&places, std::net::Ipv6Addr::from_bits(address)));
    }
    assert!(crowd.iter().all(|one| one.held.is_some()));
    assert!(!is_displaced(&alone));
    let displaced = crowd.iter().filter(|one| is_displaced(one)).count();
    assert_eq!(displaced, 200 - 63);
}

/// Who has to make room, found by looking at everybody.
fn scanned(clients: &HashMap<u64, Client>, now: Instant) -> Option<u64> {
    let mut counts: HashMap<Network, usize> = HashMap::new();
    for client in clients.values() {
        *counts.entry(client.network).or_default() += 1;
    }
    let rests = |client: &Client| client.activity.rests_from().filter(|from| *from <= now);
    let resting = clients
        .iter()
        .filter_map(|(number, client)| Some((rests(client)?, *number, client.network)));
    let resting: Vec<(Instant, u64, Network)> = resting.collect();
    let networks = resting.iter().map(|(.., network)| *network);
    let largest = networks.max_by_key(|network| (counts[network], *network))?;
    let own = resting.iter().filter(|(.., network)| *network == largest);
    own.min().map(|(_, number, _)| *number)
}

/// Scenario: connections of a few networks come, ask, are answered, and go, in any order, while time passes.
/// Guarantees: whoever has to make room is the one that a look at everybody finds, at each step.
#[tokio::test(start_paused = true)]
async fn who_makes_room_is_who_a_look_at_everybody_finds() {
    const MOST: usize = 12;
    let (mut displaced, mut refused) = (0, 0);
    for seed in 0..100 {
        let mut random = fastrand::Rng::with_seed(seed);
        let places = Places::new(MOST);
        let mut clients: HashMap<u64, Client> = HashMap::new();
        for _ in 0..400 {
            let mut numbers: Vec<u64> = clients.keys().copied().collect();
            numbers.sort_unstable();
            let one = random.choice(&numbers).copied();
            let client = match one {
                Some(one) => clients.get_mut(&one),
                None => None,
            };
            match (random.u8(0..8), client) {
                (0, Some(client)) => client.requests.push(client.activity.begin(true)),
                (1, Some(client)) => {
                    if let Some(request) = client.requests.last_mut() {
                        request.answered();
                    }
                }
                (2, Some(client)) => drop(client.requests.pop()),
                (3, Some(_)) => drop(one.and_then(|one| clients.remove(&one))),
                (4, _) => {
                    let ms = random.u64(1..4_000);
                    tokio::time::advance(Duration::from_millis(ms)).await;
                }
                _ => {
                    let is_full = clients.len() == MOST;
                    let expected = scanned(&clients, Instant::now()).filter(|_| is_full);
                    let client = enter(&places, [192, 0, 2, random.u8(0..4)]);
                    let found = clients.iter().find(|(_, client)| is_displaced(client));
                    assert_eq!(found.map(|(number, _)| *number), expected, "seed {seed}");
                    assert_eq!(client.held.is_some(), !is_full || expected.is_some());
                    if let Some(expected) = expected {
                        clients.remove(&expected);
                        displaced += 1;
                    }
                    match &client.held {
                        Some(held) => drop(clients.insert(held.number, client)),
                        None => refused += 1,
                    }
                }
            }
            assert_eq!(places.lock().len(), clients.len());
        }
        clients.clear();
        places.lock().assert_empty();
    }
    assert!(displaced > 1_000 && refused > 100, "{displaced} {refused}");
}

/// Scenario: ten thousand connections from as many networks, none of which can go; then as many more.
/// Guarantees: for each of those that come only a few are looked at.
#[tokio::test(start_paused = true)]
async fn a_flood_costs_the_same_for_each_however_many_there_are() {
    const MOST: u32 = 10_000;
    let places = Places::new(MOST as usize);
    let clients = (0..MOST).map(|n| {
        let mut client = enter(&places, std::net::Ipv4Addr::from_bits(n));
        let mut request = client.activity.begin(true);
        request.answered();
        client.requests.push(request);
        client
    });
    let clients: Vec<Client> = clients.collect();
    for wait in [0, 2_000, 2_000] {
        tokio::time::advance(Duration::from_millis(wait)).await;
        let looks = places.lock().looks();
        for n in 0..1_000 {
            assert!(
                enter(&places, std::net::Ipv4Addr::from_bits(n))
                    .held
                    .is_none()
            );
        }
        let looks = places.lock().looks() - looks;
        // Once for each that may have come to rest, and not again.
        assert!(looks <= MOST as usize, "{looks}");
    }
    assert!(!clients.iter().any(is_displaced));
}
