"""Unit tests of reading a recording."""

import unittest

import recording


class Parsing(unittest.TestCase):
    def test_seconds_become_nanoseconds_exactly(self):
        for text, ns in (
            ("1.455120141", 1_455_120_141),
            ("0.09363764", 93_637_640),
            ("1.795332318129236e+09", 1_795_332_318_129_236_000),
            ("9007199.254740993", 9_007_199_254_740_993),
            ("3e-09", 3),
            ("0", 0),
        ):
            self.assertEqual(recording.scaled(text, 10**9, exact=True), ns)

    def test_what_cannot_be_kept_is_refused(self):
        for text in ("0.0000000001", "NaN", "+Inf", "1e999999999", "many"):
            with self.assertRaises(recording.TraceError):
                recording.scaled(text, 10**9, exact=True)

    def test_a_life_start_is_rounded_down_to_ms(self):
        self.assertEqual(recording.scaled("1.7953322207225926e+09", 1000, exact=False), 1_795_332_220_722)

    def test_the_resource_body_gives_counters_with_times_and_lives(self):
        found = recording.parse_resource(
            "# TYPE container_cpu_usage_seconds_total counter\n"
            'container_cpu_usage_seconds_total{container="a\\"b",namespace="n",pod="p"} 1.5 1000\n'
            'container_start_time_seconds{container="a\\"b",namespace="n",pod="p"} 1.7953322207225926e+09\n'
            'container_memory_working_set_bytes{container="x",namespace="n",pod="p"} 6.7108864e+07 1000\n'
            "node_cpu_usage_seconds_total 74.258655783 1795332317339\n"
            'pod_cpu_usage_seconds_total{namespace="n",pod="p"} 0.2 2000\n'
        )
        self.assertEqual(
            found,
            {
                ("n", "p", 'a"b'): (1000, 1_500_000_000, 1_795_332_220_722),
                (): (1_795_332_317_339, 74_258_655_783, None),
                ("n", "p"): (2000, 200_000_000, None),
            },
        )

    def test_a_counter_without_a_time_is_refused(self):
        with self.assertRaises(recording.TraceError):
            recording.parse_resource("node_cpu_usage_seconds_total 74.2\n")


if __name__ == "__main__":
    unittest.main()
