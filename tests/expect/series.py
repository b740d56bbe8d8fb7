"""One field of one entity over time: which measurements count, and the rates between them.

* A measurement counts when it is later than the last one that counted; an earlier one is late and is
  ignored. An equal stamp changes nothing of a counter. A gauge that changed within one unit of its
  source's clock is the newer reading, and its value is taken.
* The rate is the change of the counter over the change of the stamp between the last two measurements
  that counted, and is repeated until the next one.
* A counter that fell, or a life that began more than 2 s off the one before, is a reset: no rate there,
  and what came before the reset is forgotten. No rate either when the measurements lie further apart
  than the max-age of the field's group.
* What a body leaves out of an entity it lists is held, but not into another life of the entity. Whatever
  is older at the tick than the max-age is absent, never zero.
"""

LIFE_TOLERANCE_MS = 2_000
MAX_AGE_MS = {
    "cpu": 90_000,
    "memory": 90_000,
    "process": 90_000,
    "network": 90_000,
    "filesystem": 180_000,
    "volume": 300_000,
    "host": 90_000,
}


class Series:
    """The last measurement of a field that counted, and the rate that came with it."""

    def __init__(self, label, events, counts, max_age_ms=90_000):
        self.label, self.events, self.counts, self.max_age_ms = label, events, counts, max_age_ms
        self.stamp = self.value = self.life = self.rate = self.start = None

    def see(self, tick, found, start=None):
        """Takes in what a body says at `tick` (ms): (stamp, value, life) or None.

        `life` is when the counter began, by the source of the value; `start` is when the entity began,
        by the summary.
        """
        if found is not None:
            if self.offer(tick, *found):
                self.start = start
        elif None not in (start, self.start) and abs(start - self.start) > LIFE_TOLERANCE_MS:
            self.stamp = self.value = self.life = self.rate = None
        elif self.stamp is not None:
            self.note(tick, "held")
        if self.stamp is not None and not self.is_fresh(tick):
            self.note(tick, "too_old", age_ms=tick - self.stamp)

    def offer(self, tick, stamp, value, life=None):
        """Takes in one measurement; says whether it counted."""
        if self.stamp is not None and stamp <= self.stamp:
            if stamp < self.stamp:
                self.note(tick, "late", by_ms=self.stamp - stamp)
            else:
                self.note(tick, "same_time", same_value=value == self.value)
                if not self.counts:
                    self.value = value
            return False
        self.rate = None
        if self.stamp is None or not self.counts:
            pass
        elif life is not None and self.life is not None and abs(life - self.life) > LIFE_TOLERANCE_MS:
            self.note(tick, "reset_life", fell=value < self.value, moved_ms=life - self.life)
        elif life is not None and self.life is None and life > self.stamp:
            self.note(tick, "reset_life", fell=value < self.value, began_after_ms=life - self.stamp)
        elif value < self.value:
            self.note(tick, "fell", from_value=self.value, to_value=value)
        elif stamp - self.stamp > self.max_age_ms:
            self.note(tick, "too_far_apart", gap_ms=stamp - self.stamp)
        else:
            self.rate = (value - self.value, stamp - self.stamp)
        self.stamp, self.value = stamp, value
        self.life = self.life if life is None else life
        return True

    def is_fresh(self, tick):
        """Whether the series has a value at `tick` (ms)."""
        return self.stamp is not None and tick - self.stamp <= self.max_age_ms

    def note(self, tick, event, **more):
        """Remembers something out of the ordinary, for the reader of --events."""
        self.events.append({"tick": tick // 1000, "series": self.label, "event": event, **more})


class Store:
    """Every series, by entity and field."""

    def __init__(self, groups, counters):
        self.groups, self.counters = groups, counters
        self.series, self.events = {}, []

    def see(self, tick, entity):
        """Feeds one entity at one tick; returns {field: Series} of the fields that have a value."""
        fresh = {}
        for field, found in entity.measured.items():
            key = (entity.identity, field)
            series = self.series.get(key)
            if series is None:
                label = "/".join([part for part in entity.identity if part] + [field])
                max_age_ms = MAX_AGE_MS[self.groups[field]]
                series = self.series[key] = Series(label, self.events, field in self.counters, max_age_ms)
            series.see(tick, found, entity.start)
            if series.is_fresh(tick):
                fresh[field] = series
        return fresh
