"""Unit tests of which measurements count, of rates, and of holding."""

import unittest

from bodies import BOX, POD, box, cpu_of_pod, disk, lists, memory, native, pod, points, rfc, run


class Rates(unittest.TestCase):
    def test_rate_is_counter_over_measurement_time_not_over_ticks(self):
        answers = cpu_of_pod((-2_000, 10**9), (5_000, 10**9 + 99_999_999))
        # 99,999,999 ns in 7 s = 14,285,714.1 ns/s
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage"), {0: 10**9, 10: 1_099_999_999})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 14})

    def test_an_equal_stamp_repeats_the_rate(self):
        answers = cpu_of_pod((-2_000, 0), (8_000, 10**9), (8_000, 10**9), (28_000, 2 * 10**9))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100, 20: 100, 30: 50})

    def test_a_late_measurement_is_ignored(self):
        answers = cpu_of_pod((-2_000, 0), (8_000, 10**9), (3_000, 5 * 10**8), (28_000, 2 * 10**9))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100, 20: 100, 30: 50})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage")[20], 10**9)
        self.assertEqual([e["event"] for e in answers.events], ["late"])

    def test_a_counter_that_falls_starts_anew(self):
        answers = cpu_of_pod((-2_000, 10**10), (8_000, 1), (18_000, 1 + 10**8))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage"), {0: 10**10, 10: 1, 20: 1 + 10**8})
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {20: 10})

    def test_a_repeated_reset_point_still_has_no_rate(self):
        answers = cpu_of_pod((-12_000, 0), (-2_000, 10**9), (8_000, 1), (8_000, 1))
        self.assertEqual(points(answers, POD + "/metrics/cpu/usage_rate"), {10: 100})

    def test_a_new_life_starts_anew_even_when_the_counter_grew(self):
        def body(at, ns, life):
            return [box()], {("shop", "web", "httpd"): (at, ns, life)}

        answers = run(body(-2_000, 10**6, 0), body(8_000, 10**9, 2_001), body(18_000, 2 * 10**9, 4_001))
        self.assertEqual(points(answers, BOX + "/metrics/cpu/usage_rate"), {20: 100})
        self.assertEqual([e["event"] for e in answers.events], ["reset_life"])

    def test_measurements_more_than_max_age_apart_give_no_rate(self):
        for gap, rates in ((90_000, {90: 100}), (90_001, {})):
            bodies = [([pod()], {("shop", "web"): (-2_000, 0, None)})] + [([], {})] * 8
            bodies.append(([pod()], {("shop", "web"): (gap - 2_000, gap * 10**5, None)}))
            self.assertEqual(points(run(*bodies), POD + "/metrics/cpu/usage_rate"), rates)

    def test_an_entity_that_comes_back_goes_on_where_it_was(self):
        def there(at, ns, uid="u1"):
            return [pod(uid=uid)], {("shop", "web"): (at, ns, None)}

        same = run(there(-2_000, 0), ([], {}), there(18_000, 10**9))
        self.assertEqual(points(same, POD + "/metrics/cpu/usage"), {0: 0, 20: 10**9})
        self.assertEqual(points(same, POD + "/metrics/cpu/usage_rate"), {20: 50})
        other = run(there(-2_000, 0), ([], {}), there(18_000, 10**9, "u2"))
        self.assertEqual(points(other, POD + "/metrics/cpu/usage_rate"), {})

    def test_network_rates_keep_their_fraction(self):
        def there(at, rx, tx):
            return [pod(network={"time": rfc(at), "rxBytes": rx, "txBytes": tx})], {}

        answers = run(there(-9_000, 100, 0), there(10_000, 170, 0))
        self.assertEqual(points(answers, POD + "/metrics/network/rx_rate"), {10: 3})
        self.assertEqual(points(answers, POD + "/metrics/network/rx_rate", "float"), {10: 70_000 / 19_000})
        self.assertEqual(points(answers, POD + "/metrics/network/tx_rate", "float"), {10: 0.0})
        self.assertEqual(points(answers, POD + "/metrics/network/rx", "float"), {0: None, 10: None})


class Holding(unittest.TestCase):
    def test_a_missing_field_is_held_to_max_age_and_not_beyond(self):
        answers = cpu_of_pod((-10_000, 0), (0, 10**9), *[None] * 9)
        self.assertEqual(list(points(answers, POD + "/metrics/cpu/usage")), list(range(0, 100, 10)))
        rates = points(answers, POD + "/metrics/cpu/usage_rate")
        self.assertEqual(rates, {tick: 100 for tick in range(10, 100, 10)})

    def test_a_missing_gauge_is_held_and_returns(self):
        bodies = [([pod(memory=memory(-2_000, 7))], {}), ([pod()], {}), ([pod(memory=memory(9_000, 5))], {})]
        self.assertEqual(points(run(*bodies), POD + "/metrics/memory/rss"), {0: 7, 10: 7, 20: 5})

    def test_an_old_stamp_repeated_by_the_source_expires_too(self):
        answers = run(*[([pod(memory=memory(-2_000, 7))], {})] * 10)
        self.assertEqual(list(points(answers, POD + "/metrics/memory/usage")), list(range(0, 90, 10)))

    def test_nothing_is_held_for_an_entity_that_is_not_listed(self):
        answers = run(([pod(memory=memory(-2_000, 7))], {}), ([], {}))
        self.assertEqual(points(answers, POD + "/metrics/memory/usage"), {0: 7})
        self.assertEqual(points(answers, "/api/v1/model/metrics/memory/usage"), {0: 7})
        spaces = lists(answers, "/api/v1/model/namespaces/")
        self.assertEqual(spaces, {0: ["shop"], 10: []})
        self.assertEqual(list(lists(answers, "/api/v1/model/namespaces/shop/pods/")), [0])

    def test_nothing_is_held_into_another_life_of_a_container(self):
        answers = run(([box(memory=memory(-2_000, 7))], {}), ([box(start_ms=5_000)], {}))
        self.assertEqual(points(answers, BOX + "/metrics/memory/usage"), {0: 7})


class MoreCounters(unittest.TestCase):
    def faults(self, at, count, start=-60_000):
        return [box(start, memory={"time": rfc(at), "pageFaults": count, "majorPageFaults": 0})], {}

    def test_counters_of_the_summary_start_anew_with_the_container(self):
        answers = run(self.faults(-2_000, 5), self.faults(8_000, 9, 3_000), self.faults(18_000, 19, 5_000))
        self.assertEqual(points(answers, BOX + "/metrics/memory/page_faults"), {0: 5, 10: 9, 20: 19})
        self.assertEqual(points(answers, BOX + "/metrics/memory/page_faults_rate"), {20: 1})
        rates = native(answers, "container", "memory_page_faults", "rate")
        self.assertEqual(rates, {0: None, 10: None, 20: [10, 10_000]})

    def test_a_rate_of_the_native_api_is_a_change_over_a_time(self):
        answers = cpu_of_pod((-2_000, 10**9), (5_001, 10**9 + 99), None)
        rates = native(answers, "pod", "cpu_usage_core_nanos", "rate")
        self.assertEqual(rates, {0: None, 10: [99, 7_001], 20: [99, 7_001]})

    def test_gauges_have_no_rate(self):
        answers = run(([pod(memory=memory(-2_000, 7))], {}), ([pod(memory=memory(8_000, 9))], {}))
        self.assertEqual(native(answers, "pod", "memory_usage_bytes", "rate"), {0: None, 10: None})

    def test_another_pod_of_the_same_name_is_another_life(self):
        def there(at, ns, uid):
            return [pod(uid=uid)], {("shop", "web"): (at, ns, None)}

        answers = run(there(-2_000, 5, "u1"), there(8_000, 6, "u2"))
        for uid, expected in (("u1", {0: 5}), ("u2", {10: 6})):
            self.assertEqual(native(answers, "pod", "cpu_usage_core_nanos", pod_uid=uid), expected)


class Groups(unittest.TestCase):
    def test_each_group_has_its_own_max_age(self):
        held = {
            "memory": memory(0, 1),
            "network": {"time": rfc(0), "rxBytes": 1},
            "volume": [{"name": "v", **disk(0, 1)}],
            "ephemeral-storage": disk(0, 1),
        }
        answers = run(*[([pod(**held)], {})] * 32)
        for kind, metric, last in (
            ("pod", "memory_usage_bytes", 90),
            ("pod", "network_rx_bytes", 90),
            ("pod", "ephemeral_storage_usage_bytes", 180),
            ("volume", "volume_usage_bytes", 300),
        ):
            self.assertEqual(list(native(answers, kind, metric)), list(range(0, last + 10, 10)), metric)

    def test_each_group_has_its_own_stamp(self):
        def body(memory_at, network_at, value):
            network = {"time": rfc(network_at), "rxBytes": value}
            return [pod(memory=memory(memory_at, value), network=network)], {}

        answers = run(body(-2_000, -2_000, 1), body(-2_000, 8_000, 2), body(18_000, 8_000, 3))
        self.assertEqual(native(answers, "pod", "memory_usage_bytes"), {0: 1, 10: 2, 20: 3})
        self.assertEqual(native(answers, "pod", "network_rx_bytes"), {0: 1, 10: 2, 20: 2})

    def test_a_field_left_out_keeps_its_own_stamp(self):
        both = {"time": rfc(-2_000), "usageBytes": 5, "availableBytes": 6}
        bodies = [([pod(memory=both)], {})]
        bodies += [([pod(memory={"time": rfc(-2_000 + 10_000 * k), "usageBytes": 5})], {}) for k in range(1, 11)]
        answers = run(*bodies)
        self.assertEqual(list(native(answers, "pod", "memory_usage_bytes")), list(range(0, 110, 10)))
        self.assertEqual(list(native(answers, "pod", "memory_available_bytes")), list(range(0, 90, 10)))


if __name__ == "__main__":
    unittest.main()
