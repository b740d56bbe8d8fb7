//! Readers who ask about many namespaces, and what the API server sees of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;

/// Lets everybody list pods of the namespaces that end so, and takes note of who was asked about when.
#[derive(Debug)]
struct Noting {
    ends: &'static str,
    asked: Mutex<Vec<(Instant, String)>>,
}

impl Authority for Noting {
    fn review<'a>(&'a self, _token: &'a str, _audiences: &'a [String]) -> Asked<'a, Review> {
        Box::pin(async { Ok(Review::default()) })
    }

    fn access<'a>(&'a self, question: &'a Access) -> Asked<'a, Allowed> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((Instant::now(), question.user.name.clone()));
        let allowed = match &question.what {
            Attributes::Resource(of) => of.namespace.ends_with(self.ends),
            Attributes::Path { .. } => false,
        };
        Box::pin(async move {
            sleep(Duration::from_millis(20)).await;
            let reason = String::new();
            Ok(Allowed { allowed, reason })
        })
    }

    fn published(&self) -> Asked<'_, Vec<u8>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn keys(&self) -> Asked<'_, Keys> {
        Box::pin(async { Ok(Keys::default()) })
    }
}

fn noting(ends: &'static str) -> (Arc<Noting>, Reviews) {
    let asked = Mutex::default();
    let noting = Arc::new(Noting { ends, asked });
    let api = Arc::clone(&noting) as Arc<dyn Authority>;
    let reviews = Reviews::new(api, vec!["cairn".to_owned()], Metrics::default());
    (noting, reviews)
}

const READERS: usize = 20;

/// Questions about namespaces a second of all readers.
const A_SECOND: usize = 100;

const PATIENCE: Duration = Duration::from_secs(9);

fn names() -> Vec<Arc<str>> {
    (0..300).map(|n| format!("n{n}").into()).collect()
}

/// Scenario: twenty readers ask about 300 namespaces each, until all is known.
/// Guarantees: all are told of theirs; the API server is asked 100 times a second at most and not much less, of each
/// reader about as much; what that puts off is counted, and of a reader who is alone nothing is.
#[tokio::test(start_paused = true)]
async fn all_readers_together_ask_100_times_a_second_and_each_as_much() {
    let (noting, reviews) = noting("00");
    let put_off = || reviews.inner.metrics.count_of_put_off(Of::Namespace);
    let (what, names) = (of_pods(""), names());
    let settles = async |name: String| {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let names = (names.as_slice(), PATIENCE);
            match reviews.within(&named(&name), &what, names).await {
                Ok(within) if within.pending == 0 => return within.allowed.len(),
                other => assert!(Instant::now() < until, "{other:?}"),
            }
        }
    };
    assert_eq!(settles("alone".to_owned()).await, 2);
    assert_eq!(put_off(), 0);
    noting.asked.lock().unwrap().clear();
    let began = Instant::now();
    let all = join_all((0..READERS).map(|n| settles(format!("reader{n}")))).await;
    assert_eq!(all, [2; READERS]);
    let asked = noting.asked.lock().unwrap();
    let mut busiest = 0;
    for (index, (from, _)) in asked.iter().enumerate() {
        let later = asked[index..].iter();
        busiest = busiest.max(later.take_while(|(at, _)| *at - *from < SECOND).count());
    }
    assert!(
        (A_SECOND * 4 / 5..=A_SECOND).contains(&busiest),
        "{busiest}"
    );
    // After half of the time each has had half of theirs.
    let half = began + Duration::from_secs(30);
    let mut of_each: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, name) in asked.iter().filter(|(at, _)| *at < half) {
        *of_each.entry(name).or_default() += 1;
    }
    let (least, most) = (of_each.values().min(), of_each.values().max());
    assert!(most.unwrap() - least.unwrap() <= 10, "{of_each:?}");
    assert_eq!(of_each.len(), READERS);
    assert!(put_off() > 1_000, "{}", put_off());
}

/// Scenario: one of two who wait for the same goes away, and it is the one who began to ask.
/// Guarantees: the other one is told all the same.
#[tokio::test(start_paused = true)]
async fn who_began_to_ask_and_goes_away_takes_nothing_from_another() {
    let (noting, reviews) = noting("0");
    let (what, jane) = (of_pods(""), named("jane"));
    let names = names()[..100].to_vec();
    let asks = || reviews.within(&jane, &what, (&names, PATIENCE));
    let first = async {
        let gone = timeout(SECOND, asks()).await;
        assert!(gone.is_err());
    };
    let second = async {
        sleep(SECOND / 2).await;
        asks().await.unwrap()
    };
    let ((), within) = join(first, second).await;
    assert_eq!((within.allowed.len(), within.pending), (10, 0));
    assert_eq!(noting.asked.lock().unwrap().len(), 100);
}
