"""Which tokens Attune hides of a text, as worker/engine/objectives/masked_tokens.cc draws them: transformers then gets the same as labels."""


class Draws:
    """splitmix64, as common/base/hash.h has it."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        z = self.state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    def below(self, bound):
        return self.next() * bound >> 64


def hide(tokens, places, seed, vocabulary, mask):
    """Some of the places are to be found. The tokens with those hidden; labels, -100 where nothing is to be found; how many there are."""
    random, places = Draws(seed), list(places)
    count = min(max(int(0.15 * len(places) + 0.5), 1), len(places))
    for i in range(count):
        j = i + random.below(len(places) - i)
        places[i], places[j] = places[j], places[i]
    shown, wanted = list(tokens), [-100] * len(tokens)
    for place in sorted(places[:count]):
        wanted[place] = tokens[place]
        fate = random.below(10)
        shown[place] = mask if fate < 8 else random.below(vocabulary) if fate == 8 else tokens[place]
    return shown, wanted, count
