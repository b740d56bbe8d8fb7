"""Decodes rows and chunks as proto/WIRE.md describes them.

It follows the page and shares nothing with the codec in proto/src/codec, of which it is the second opinion: simple,
not fast, with whole numbers that have no width but where the page says modulo 2^64.

    python3 tests/expect/wire.py < proto/testdata/vectors.json

decodes the vectors on standard input and says which of them it takes for something else.
"""

import json
import pathlib
import sys

MODULUS = 1 << 64
SCALES = (1, 1000, 1024, 4096)
ROOT = pathlib.Path(__file__).parent.parent.parent
VECTORS = ROOT / "proto" / "testdata" / "vectors.json"

MAX_PAYLOAD, MAX_ENTITIES, MAX_COLUMNS, MAX_CELLS, MAX_CHUNK_CELLS = 4_194_304, 65_535, 512, 2_000_000, 8_000_000


class Refused(Exception):
    """The payload breaks a rule of the page."""


def must(holds, what):
    if not holds:
        raise Refused(what)


class Reader:
    """Reads from the front of some bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        must(self.at + count <= len(self.data), "ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value = 0
        for nth in range(10):
            byte = self.u8()
            must(nth < 9 or byte <= 1, "a varint over 64 bits")
            value |= (byte & 0x7F) << (7 * nth)
            if byte < 0x80:
                return value
        raise Refused("a varint of more than ten bytes")

    def zigzag(self):
        value = self.varint()
        return -(value + 1) // 2 if value % 2 else value // 2

    def bits(self, count, spare_is_zero=True):
        """A list of so many bits."""
        number = int.from_bytes(self.take((count + 7) // 8), "little")
        must(number >> count == 0 or not spare_is_zero, "bits behind the last one")
        return [number >> nth & 1 == 1 for nth in range(count)]

    def numbers(self, width, count):
        return packed(self.bits(width * count), width, count)

    def end(self):
        must(self.at == len(self.data), "something follows the end")


class BitReader:
    """Reads numbers of different widths out of one run of bits, which ends with the last of them."""

    def __init__(self, reader):
        self.reader, self.data, self.at = reader, int.from_bytes(reader.data[reader.at :], "little"), 0
        self.count = 8 * (len(reader.data) - reader.at)

    def number(self, width):
        must(self.at + width <= self.count, "ends too early")
        self.at += width
        return self.data >> self.at - width & (1 << width) - 1

    def end(self):
        self.reader.bits(self.at)


def packed(bits, width, count):
    """The first numbers of a run of bits."""
    places = [bits[nth * width : (nth + 1) * width] for nth in range(count)]
    return [sum(1 << n for n, bit in enumerate(one) if bit) for one in places]


class Row:
    """Entities, rising; cells by column and entity."""

    def __init__(self, entities=(), columns=None):
        self.entities, self.columns = list(entities), columns or {}

    def told(self):
        columns = {str(c): [[e, v] for e, v in sorted(cells.items())] for c, cells in self.columns.items()}
        return {"columns": columns, "entities": self.entities}


def is_time(column):
    return column < 64 and column % 4 == 0


class Decoder:
    """Decodes for a catalogue of fields, and notes in `met` each flag, form and edge that it met."""

    def __init__(self, fields):
        self.fields, self.met, self.left = set(fields), set(), 0

    def note(self, prefix, flags):
        """Notes each of these words that holds."""
        for word, holds in flags.items():
            self.met.add(f"{prefix} {word if holds else 'not ' + word}")

    def known(self, column):
        return column < 64 or column in self.fields

    def count_cells(self, cells):
        self.left -= len(cells)
        must(self.left >= 0, "too many cells")
        return cells

    def ids(self, reader, count):
        must(count <= MAX_ENTITIES, "too many entities")
        entities = []
        for _ in range(count):
            gap = reader.varint()
            must(gap or not entities, "an entity twice")
            entities.append(gap + (entities[-1] if entities else 0))
            must(entities[-1] < 1 << 32, "an entity over 32 bits")
        return entities

    def entities_of_row(self, reader, base, codec):
        count = reader.varint()
        self.note(f"{codec} entities", {"of the base": count == 0, "none": count == 1})
        return list(base.entities) if count == 0 else self.ids(reader, count - 1)

    def listed(self, reader):
        """Columns of a row: number and reader of the body."""
        count, last = reader.varint(), -1
        must(count <= MAX_COLUMNS, "too many columns")
        for _ in range(count):
            column, length = reader.varint(), reader.varint()
            must(column > last, "columns do not rise")
            last = column
            yield column, Reader(reader.take(length))

    # Rows

    def row(self, payload, tick, base=None, base_tick=0):
        must(len(payload) <= MAX_PAYLOAD, "too long")
        self.left = MAX_CELLS
        reader = Reader(payload)
        codec = reader.varint()
        must(codec in (1, 2), "another codec")
        return self.row_of(codec, reader, base or Row(), tick - base_tick)

    def row_of(self, codec, reader, base, passed):
        row = Row(self.entities_of_row(reader, base, codec))
        if codec == 2:
            for column, cells in base.columns.items():
                stay = {entity: value for entity, value in cells.items() if entity in set(row.entities)}
                self.note("2 carried", {"some go": len(stay) < len(cells), "all go": not stay})
                if stay:
                    row.columns[column] = stay
        carried = dict(row.columns)
        for column, body in self.listed(reader):
            if not self.known(column):
                self.met.add(f"{codec} unknown column")
                continue
            there = carried.pop(column, {})
            row.columns.pop(column, None)
            if codec == 1:
                old = base.columns.get(column, {})
                old = {entity: value for entity, value in old.items() if entity in set(row.entities)}
                row.columns[column] = self.plain_cells(body, row.entities, old)
            elif not body.data:
                self.met.add("2 gone")
            elif body.data[0] == 0x88:
                row.columns[column] = self.copy(body, row, column, carried)
            else:
                row.columns[column] = self.dense_cells(body, row, column, there, passed)
        reader.end()
        for cells in carried.values():
            self.count_cells(cells)
        row.columns = dict(sorted(row.columns.items()))
        return row

    def places(self, body, entities, old, same):
        if same:
            places = sorted(old)
        else:
            places = [entity for entity, there in zip(entities, body.bits(len(entities))) if there]
        must(places, "a column without a cell")
        self.count_cells(places)
        return places

    def plain_cells(self, body, entities, old):
        flags = body.u8()
        must(flags < 0x20, "unknown flags")
        scale, same, steady, repeats = SCALES[flags & 3], flags & 4, flags & 8, flags & 16
        self.note("1", {f"scale {scale}": True, "SAME": same, "STEADY": steady, "REPEATS": repeats})
        cells = {entity: old.get(entity, 0) for entity in self.places(body, entities, old, same)}
        if not steady:
            changed = body.bits(len(cells), spare_is_zero=False)
            changed = [entity for entity, moves in zip(cells, changed) if moves]
            repeated = body.bits(len(changed), spare_is_zero=False) if repeats else [False] * len(changed)
            difference = 0
            for entity, again in zip(changed, repeated):
                if not again:
                    difference = body.zigzag() * scale
                    must(-MODULUS // 2 <= difference < MODULUS // 2, "a difference over 64 bits")
                cells[entity] = (cells[entity] + difference) % MODULUS
        body.end()
        return cells

    def copy(self, body, row, column, carried):
        body.u8()
        of = body.varint()
        body.end()
        must(is_time(column) and is_time(of) and of < column and of in row.columns, "a copy of something else")
        self.note("2 COPY", {"of a carried column": of in carried})
        return dict(self.count_cells(row.columns[of]))

    def dense_cells(self, body, row, column, old, passed):
        flags = body.u8()
        bit = {"SAME": 2, "STEADY": 3, "REPEATS": 4, "TICKED": 5, "PACKED": 6, "EACH": 7}
        bit = {word: flags >> place & 1 == 1 for word, place in bit.items()}
        if bit["STEADY"]:
            must(not flags & 0b11010011, "flags beside STEADY")
        self.note("2", {f"scale {SCALES[flags & 3]}": True, **bit})
        if bit["STEADY"] and not bit["SAME"]:
            self.met.add("2 STEADY with other places")
        cells = {entity: old.get(entity, 0) for entity in self.places(body, row.entities, old, bit["SAME"])}
        if bit["TICKED"]:
            self.note("2 TICKED", {"time": is_time(column), "place without a base": any(e not in old for e in cells)})
            if is_time(column):
                cells = {entity: (value + passed) % MODULUS for entity, value in cells.items()}
        if not bit["STEADY"]:
            self.add_numbers(body, cells, bit, SCALES[flags & 3])
        body.end()
        return cells

    def add_numbers(self, body, cells, bit, scale):
        changed = list(cells)
        if not bit["EACH"]:
            changed = [entity for entity, moves in zip(cells, body.bits(len(cells))) if moves]
        repeated = body.bits(len(changed)) if bit["REPEATS"] else [False] * len(changed)
        if repeated[:1] == [True]:
            self.met.add("2 repeats nothing")
        told = repeated.count(False)
        if bit["PACKED"]:
            least, width = body.zigzag(), body.u8()
            numbers = [least + above for above in self.packed(body, width, told)]
        else:
            numbers = [body.zigzag() for _ in range(told)]
        numbers, difference = iter(numbers), 0
        for entity, again in zip(changed, repeated):
            difference = difference if again else next(numbers) * scale
            cells[entity] = (cells[entity] + difference) % MODULUS

    def packed(self, body, width, count):
        if width & 0x80:
            return self.sized(body, width & 0x40, width & 0x3F, count)
        must(width <= 64, "a width over 64")
        self.met.add(f"2 packed width {width if width in (0, 64) else 'between'}")
        return body.numbers(width, count)

    def sized(self, body, signed, code_bits, count):
        floor = body.u8()
        must(1 <= code_bits <= 6 and floor <= 64, "no such sizes")
        self.note("2 sized", {"SIGNED": signed, "floor 0": floor == 0, "code of 6 bits": code_bits == 6})
        run, numbers = BitReader(body), []
        for _ in range(count):
            code = run.number(code_bits)
            must(not code or floor + code <= 64, "a size over 64")
            self.note("2 sized", {"code 0": code == 0})
            number = run.number(floor) if code == 0 else (1 << floor + code - 1) + run.number(floor + code - 1)
            numbers.append(-(number + 1) // 2 if signed and number % 2 else number // 2 if signed else number)
        run.end()
        return numbers

    # Chunks

    def chunk(self, payload):
        must(len(payload) <= MAX_PAYLOAD, "too long")
        self.left = MAX_CHUNK_CELLS
        reader = Reader(payload)
        codec = reader.varint()
        must(codec in (1, 2), "another codec")
        rows = self.plain_chunk(reader) if codec == 1 else self.dense_chunk(reader)
        reader.end()
        must(all(offset < 16 for offset, _, _ in rows), "a row of another block")
        return rows

    def plain_chunk(self, reader):
        count, rows = reader.varint(), []
        must(1 <= count <= 16, "no row or too many")
        for _ in range(count):
            offset, tick = reader.varint(), reader.varint()
            payload = Reader(reader.take(reader.varint()))
            must(not rows or (offset > rows[-1][0] and tick > rows[-1][1]), "rows do not rise")
            must(payload.varint() == 1, "a row of another codec")
            rows.append((offset, tick, self.row_of(1, payload, rows[-1][2] if rows else Row(), 0)))
        return rows

    def dense_chunk(self, reader):
        times = self.times(reader)
        entities = self.ids(reader, reader.varint())
        whole = [True] * len(times)
        partial = reader.bits(len(entities))
        there = [reader.bits(len(times)) if is_partial else whole for is_partial in partial]
        must(all(any(mask) for mask in there), "an entity that is in no row")
        self.note("2 chunk entity", {"partial": any(partial)})
        self.note("2 chunk", {"masks of two bytes": len(times) > 8 and any(partial)})
        count, directory = reader.varint(), []
        must(count <= MAX_COLUMNS, "too many columns")
        for _ in range(count):
            directory.append((reader.varint(), reader.varint()))
        must(all(a[0] < b[0] for a, b in zip(directory, directory[1:])), "columns do not rise")
        columns = {}
        for column, length in directory:
            body = Reader(reader.take(length))
            if not self.known(column):
                self.met.add("2 chunk unknown column")
            elif body.data[:1] == b"\x10":
                columns[column] = self.chunk_copy(body, column, columns)
            else:
                columns[column] = (False, self.series(body, entities, there))
        rows = []
        for nth, (offset, tick) in enumerate(times):
            row = Row([entity for entity, mask in zip(entities, there) if mask[nth]])
            for column, (_, series) in columns.items():
                cells = {entity: values[nth] for entity, values in series.items() if values[nth] is not None}
                if cells:
                    row.columns[column] = cells
            rows.append((offset, tick, row))
        return rows

    def times(self, reader):
        span = reader.u8()
        must(span <= 64, "too many rows")
        offsets = [offset for offset, there in enumerate(reader.bits(span)) if there]
        must(offsets, "no row")
        self.note("2 chunk", {"holes": len(offsets) < span})
        tick, step = reader.varint(), reader.varint()
        times = [(offsets[0], tick)]
        for before, offset in zip(offsets, offsets[1:]):
            late = reader.zigzag()
            self.note("2 chunk row", {"late": late})
            gap = (offset - before + late) % MODULUS * step
            tick += gap
            must(0 < gap < MODULUS and tick < MODULUS, "ticks do not rise")
            times.append((offset, tick))
        return times

    def chunk_copy(self, body, column, columns):
        body.u8()
        of = body.varint()
        body.end()
        must(of < column < 64 and of in columns and not columns[of][0], "a copy of something else")
        self.met.add("2 chunk COPY")
        series = columns[of][1]
        for values in series.values():
            self.count_cells([value for value in values if value is not None])
        return True, series

    def series(self, body, entities, there):
        flags = body.u8()
        must(flags < 0x10, "unknown flags")
        scale, full, regular = SCALES[flags & 3], flags & 4, flags & 8
        self.note("2 chunk", {f"scale {scale}": True, "FULL": full, "REGULAR": regular})
        having = [True] * len(entities) if full else body.bits(len(entities))
        masks = [mask for mask, has in zip(there, having) if has]
        must(masks, "a column without a series")
        if not regular:
            own = body.bits(len(masks))
            masks = [self.own_mask(body, mask) if is_own else mask for is_own, mask in zip(own, masks)]
        forms = body.numbers(2, len(masks))
        first, state, series = 0, {"divisor": 1, "moving": None}, {}
        names = [entity for entity, has in zip(entities, having) if has]
        for entity, mask, form in zip(names, masks, forms):
            count = sum(mask)
            self.met.add(f"2 form {form}")
            if form:
                first = (first + body.zigzag() * scale) % MODULUS
            differences = self.differences(body, form, count, state)
            values = [first]
            for difference in differences:
                values.append((values[-1] + difference) % MODULUS)
            values = iter(self.count_cells(values))
            series[entity] = [next(values) if there else None for there in mask]
        body.end()
        return series

    def own_mask(self, body, of):
        mask = body.bits(len(of))
        must(any(mask), "a series without a cell")
        must(all(inside or not bit for bit, inside in zip(mask, of)), "a cell where its entity is not")
        return mask

    def differences(self, body, form, count, state):
        if form < 2:
            return [0] * (count - 1)
        if form == 3:
            state["moving"] = self.own_differences(body, count - 1, state)
        must(state["moving"] is not None and len(state["moving"]) == count - 1, "moves like nothing before it")
        return state["moving"]

    def own_differences(self, body, steps, state):
        head = body.u8()
        width, sparse, divisor = head & 63, head & 64, head & 128
        if divisor:
            state["divisor"] = body.varint()
        elif state["divisor"] != 1:
            self.met.add("2 divisor goes on")
        self.note("2 differences", {"SPARSE": sparse, "DIVISOR": divisor, "none": steps == 0})
        self.met.add(f"2 width {width if width in (0, 63) else 'between'}")
        width = 64 if width == 63 else width
        least = body.zigzag()
        if not sparse:
            return [(least + above) * state["divisor"] for above in body.numbers(width, steps)]
        # How long the run is, its own first bits say.
        flags = Reader(body.data[body.at :]).bits(steps, spare_is_zero=False)
        run = body.bits(steps + width * sum(flags))
        numbers = iter(packed(run[steps:], width, sum(flags)))
        return [(least + next(numbers)) * state["divisor"] if moves else 0 for moves in flags]


def catalogue():
    """Numbers of the fields, from the page that the catalogue writes."""
    numbers = set()
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        numbers.update(int(cell) for cell in cells[1:2] if cell.isdigit())
    return numbers


def differences(vectors, decoder):
    """Names of the vectors that the decoder takes for something else, and what it takes them for."""
    rows = {}
    for vector in vectors:
        name, payload = vector["name"], bytes.fromhex(vector["hex"])
        try:
            if vector["kind"] == "row":
                base, base_tick = rows.get(vector["base"], (None, 0))
                row = decoder.row(payload, vector["tick"], base, base_tick)
                rows[name] = (row, vector["tick"])
                said, told = row.told(), vector.get("row")
            else:
                chunk = decoder.chunk(payload)
                said = [{**row.told(), "offset": offset, "tick": tick} for offset, tick, row in chunk]
                told = vector.get("rows")
        except Refused as why:
            if "refused" not in vector:
                yield name, str(why)
            continue
        if said != told:
            yield name, said


def main():
    count, vectors = 0, json.load(sys.stdin)
    for name, said in differences(vectors, Decoder(catalogue())):
        print(f"{name}: {said}")
        count += 1
    print(f"{len(vectors)} vectors, {count} of them are something else here")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
