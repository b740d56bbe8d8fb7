"""The vectors of the wire format, read by the decoder that was written from proto/WIRE.md."""

import json
import unittest

import wire

EITHER = ("", "not ")

# Each flag, form and edge of the page, set and not set where both are possible.
PARTS = {
    *(f"1 scale {scale}" for scale in wire.SCALES),
    *(f"1 {no}{flag}" for no in EITHER for flag in ("SAME", "STEADY", "REPEATS")),
    *(f"2 scale {scale}" for scale in wire.SCALES),
    *(f"2 {no}{flag}" for no in EITHER for flag in ("SAME", "STEADY", "REPEATS", "TICKED", "PACKED", "EACH")),
    *(f"{codec} entities {no}{part}" for codec in (1, 2) for no in EITHER for part in ("of the base", "none")),
    *(f"2 TICKED {no}{part}" for no in EITHER for part in ("time", "place without a base")),
    *(f"2 COPY {no}of a carried column" for no in EITHER),
    *(f"2 carried {no}{part}" for no in EITHER for part in ("some go", "all go")),
    *(f"2 packed width {width}" for width in (0, "between", 64)),
    *(f"2 sized {no}{part}" for no in EITHER for part in ("SIGNED", "floor 0", "code of 6 bits", "code 0")),
    *(f"{codec} unknown column" for codec in ("1", "2", "2 chunk")),
    "2 STEADY with other places",
    "2 repeats nothing",
    "2 gone",
    *(f"2 chunk scale {scale}" for scale in wire.SCALES),
    *(f"2 chunk {no}{flag}" for no in EITHER for flag in ("FULL", "REGULAR", "holes", "masks of two bytes")),
    *(f"2 chunk entity {no}partial" for no in EITHER),
    *(f"2 chunk row {no}late" for no in EITHER),
    "2 chunk COPY",
    *(f"2 form {form}" for form in range(4)),
    *(f"2 differences {no}{part}" for no in EITHER for part in ("SPARSE", "DIVISOR", "none")),
    *(f"2 width {width}" for width in (0, "between", 63)),
    "2 divisor goes on",
}


class Vectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vectors = json.loads(wire.VECTORS.read_text())

    def test_each_vector_is_what_it_says(self):
        decoder = wire.Decoder(wire.catalogue())
        self.assertEqual(list(wire.differences(self.vectors, decoder)), [])

    def test_each_flag_form_and_edge_occurs_in_the_vectors(self):
        decoder = wire.Decoder(wire.catalogue())
        named = [vector for vector in self.vectors if not vector["name"].startswith(("random", "refused"))]
        self.assertEqual(list(wire.differences(named, decoder)), [])
        self.assertEqual(PARTS - decoder.met, set(), "no vector has it")
        self.assertEqual(decoder.met - PARTS, set(), "not in the list")

    def test_a_payload_that_is_cut_off_is_refused(self):
        decoder, rows = wire.Decoder(wire.catalogue()), {}
        for vector in self.vectors:
            payload = bytes.fromhex(vector["hex"])
            if "refused" in vector:
                continue
            for end in range(min(len(payload), 64)):
                with self.subTest(name=vector["name"], end=end), self.assertRaises(wire.Refused):
                    self.decode(decoder, vector, payload[:end], rows)
            rows[vector["name"]] = (self.decode(decoder, vector, payload, rows), vector.get("tick"))

    def decode(self, decoder, vector, payload, rows):
        if vector["kind"] == "chunk":
            return decoder.chunk(payload)
        return decoder.row(payload, vector["tick"], *rows.get(vector["base"], ()))


class Numbers(unittest.TestCase):
    def test_varints_and_zigzags_are_those_of_the_page(self):
        for data, value in (("00", 0), ("7f", 127), ("8001", 128), ("8200", 2), ("ff" * 9 + "01", 2**64 - 1)):
            self.assertEqual(wire.Reader(bytes.fromhex(data)).varint(), value)
        for data in ("80" * 10, "ff" * 9 + "02", "80"):
            with self.assertRaises(wire.Refused):
                wire.Reader(bytes.fromhex(data)).varint()
        for data, value in (("00", 0), ("01", -1), ("02", 1), ("03", -2), ("ff" * 9 + "01", -(2**63))):
            self.assertEqual(wire.Reader(bytes.fromhex(data)).zigzag(), value)

    def test_bits_begin_with_the_lowest(self):
        self.assertEqual(wire.Reader(b"\x05\x01").bits(9), [True, False, True] + [False] * 5 + [True])
        self.assertEqual(wire.Reader(bytes.fromhex("630b00")).numbers(6, 3), [35, 45, 0])
        self.assertEqual(wire.Reader(b"").numbers(0, 3), [0, 0, 0])


if __name__ == "__main__":
    unittest.main()
