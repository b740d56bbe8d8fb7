//! The test kit: everything that the end-to-end tests, the simulators and the benchmarks share.
//!
//! ```text
//! trace, mix      what nodes say: the recording replayed, or generated
//! usage           what metrics.k8s.io must say of the recording
//! metrics_server  what metrics-server would say of it
//! hpa             an autoscaler that acts on either
//! apiserver       an API server of Kubernetes that lists, watches and reviews, with faults
//! pki             certificates of every shape that a test needs
//! sim             a kubelet that serves a replay, with faults
//! fleet           thousands of agents in one process, and what they hold
//! proc, system    the real binaries as processes; a whole cluster of them
//! machine         what a machine lacks for a test
//! lone_agent      an agent that reads its machine alone
//! terminal        a program on a terminal, its keys and its screen
//! pair            a system with a second aggregator
//! replicas        aggregators that replace each other, and an API server that knows who is ready
//! busy, pays      a node on which pods come and go, and what it pays for being watched
//! rendered        the objects of deploy/, as kubectl renders them
//! pod             a rendered pod as a process: what a kubelet does with it
//! front_proxy     the API server in front of an aggregator, for clients of Kubernetes
//! proxy           a network that is cut, slowed down and mended
//! raw, peer       an agent and an aggregator by hand, for frames that no real one sends
//! broken          frames that are none any more
//! again           work in a thread of its own, until it is dropped
//! greedy          an aggregator by hand that asks its agents for more than it may
//! hostile         agents that do one bad thing each, as fast as they are let
//! siege           clients that want to keep others out of a listener
//! hostile_names   names that no output may carry as they are
//! reader          asks the gRPC service, and waits at most so long for each answer
//! oracle          what was sampled, and whether an aggregator says the same
//! dashboard       the Kubernetes Dashboard's own client, written again
//! exact           what the scripts of tests/expect say, and whether an aggregator says the same
//! bench, budgets  what `make bench` prints, and what may not grow unnoticed
//! rivals          the same data in other stores, for `make bench-rivals`
//! http1, rfc3339  a small blocking client; times as the APIs write them
//! ```

pub mod again;

pub mod apiserver;

pub mod args;

mod as_it_is;

pub mod bench;

pub mod broken;

pub mod budgets;

pub mod busy;

mod channel;

pub mod dashboard;

pub mod deadline;

pub mod exact;

pub mod fleet;

pub mod front_proxy;

pub mod greedy;

pub mod hostile;

pub mod hostile_names;

pub mod hpa;

pub mod http1;

pub mod lone_agent;

pub mod machine;

pub mod metrics_server;

pub mod mix;

pub mod oracle;

pub mod pair;

pub mod pays;

pub mod peer;

pub mod pki;

pub mod pod;

pub mod played;

pub mod proc;

pub mod proxy;

pub mod raw;

pub mod reader;

pub mod rendered;

pub mod replicas;

pub mod rfc3339;

pub mod rivals;

mod served;

pub mod siege;

pub mod sim;

pub mod system;

pub mod terminal;

pub mod trace;

pub mod usage;
