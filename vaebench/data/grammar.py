"""Sentences from a probabilistic context-free grammar: the inside algorithm knows how probable.

Subjects agree with their verbs across what stands between them, and phrases can be attached in
several ways, so that a sentence's probability is a sum over many trees.

References:
    Lari and Young 1990, section 2.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vaebench.data.images import Request
from vaebench.data.synthetic import Choice, splits, tokens_of, within
from vaebench.data.text import END, PAD, Sentences, Text

#: A symbol, then what it becomes: two symbols, or words, the first ones more often, with a weight.
RULES = """
S     NPs VPs 5 | NPp VPp 5
NPs   Ds Ns 6 | NPs PP 1 | NPs Rs 1 | anna tom mary peter 2
NPp   Dp Np 5 | NPp PP 1 | NPp Rp 1 | NPs Too 1 | people children dogs books birds 2
Too   And NPs 6 | And NPp 4
Ns    A Ns 2 | man woman dog girl boy teacher cat house garden friend telescope letter 8
Np    A Np 2 | men women dogs girls boys teachers cats houses gardens friends letters 8
VPs   Vs NPs 3 | Vs NPp 2 | VPs PP 2 | Cs Which 1 | sleeps waits sings laughs runs 2
VPp   Vp NPs 3 | Vp NPp 2 | VPp PP 2 | Cp Which 1 | sleep wait sing laugh run 2
Which That S 1
PP    P NPs 6 | P NPp 4
Rs    That VPs 6 | That Gap 4
Rp    That VPp 6 | That Gap 4
Gap   NPs Vs 5 | NPp Vp 5
Ds    the a every this some 1
Dp    the some these all two 1
A     young small happy red tall clever quiet 1
Vs    sees likes knows finds hears follows 1
Vp    see like know find hear follow 1
Cs    says thinks knows 1
Cp    say think know 1
P     with in near behind for 1
And   and 1
That  that 1
"""
#: The most rows that have a chart at once.
_CHUNK = 128


class Grammar:
    """A probabilistic grammar in Chomsky normal form, its first symbol at the root.

    Args:
        rules: A line for each symbol, which begins with a capital letter: its alternatives, two
            symbols or several words, each with a weight; the n-th word has a share of 1/n.

    Attributes:
        vocabulary: `END`, and all words in alphabetical order.

    Example:
        >>> toy = Grammar("S  S S 1 | a 3")
        >>> toy.lengths(3).tolist()
        [0.0, 0.75, 0.140625, 0.052734375]
    """

    def __init__(self, rules: str) -> None:
        lines = [line.split(maxsplit=1) for line in rules.strip().splitlines()]
        symbols = {symbol: i for i, (symbol, _) in enumerate(lines)}
        pairs: list[tuple[int, int, int, float]] = []
        emitted: list[tuple[int, str, float]] = []
        for symbol, (_, right) in enumerate(lines):
            options = [option.split() for option in right.split("|")]
            total = sum(float(weight) for *_, weight in options)
            for *parts, weight in options:
                share = float(weight) / total
                if parts[0][0].isupper():
                    one, two = (symbols[part] for part in parts)
                    pairs.append((symbol, one, two, share))
                else:
                    ranks = 1 / np.arange(1, len(parts) + 1)
                    shares = share * ranks / ranks.sum()
                    emitted += [(symbol, *each) for each in zip(parts, shares, strict=True)]
        self.vocabulary = (END, *sorted({word for _, word, _ in emitted}))
        #: Rule r makes `parent[r]` a `left[r]` and a `right[r]`, with a probability.
        self.parent, self.left, self.right = torch.tensor([rule[:3] for rule in pairs]).T
        self.share = torch.tensor([rule[3] for rule in pairs], dtype=torch.float64)
        #: The probability (K, V) that a symbol becomes a word.
        self.lexicon = torch.zeros(len(lines), len(self.vocabulary), dtype=torch.float64)
        for symbol, word, share in emitted:
            self.lexicon[symbol, self.vocabulary.index(word)] = share

    def charts(self, words: Tensor) -> list[Tensor]:
        """The inside probabilities of all spans.

        Args:
            words: The probability (N, n, K) of each word, if a symbol becomes one.

        Returns:
            For each width w = 1, …, n the probability (N, n - w + 1, K) that a symbol becomes the w
            words from a place on.
        """
        count, length, symbols = words.shape
        found = [words]
        lefts, rights = [words[..., self.left]], [words[..., self.right]]
        for width in range(2, length + 1):
            places = length - width + 1
            both = sum(
                lefts[k - 1][:, :places] * rights[width - k - 1][:, k : k + places]
                for k in range(1, width)
            )
            chart = words.new_zeros(count, places, symbols)
            chart.index_add_(2, self.parent, both * self.share)
            found.append(chart)
            lefts.append(chart[..., self.left])
            rights.append(chart[..., self.right])
        return found

    def widths(self, most: int) -> Tensor:
        """The probability (most + 1, K) that a symbol becomes n words, n = 0, …, most."""
        any_word = self.lexicon.sum(1).expand(1, most, -1)
        charts = self.charts(any_word)
        return torch.stack([torch.zeros_like(charts[0][0, 0]), *(each[0, 0] for each in charts)])

    def lengths(self, most: int) -> Tensor:
        """The probability (most + 1,) that a sentence has n words, n = 0, …, most."""
        return self.widths(most)[:, 0]

    def log_prob(self, tokens: Tensor, most: int) -> Tensor:
        """The log-probability (N,) in nats, float64, of sentences (N, T) that end with `END`.

        It is that among sentences of `most` words or fewer; what is none of them has -∞.
        """
        tokens = tokens.long()
        lengths = (tokens != PAD).sum(1)
        found = torch.zeros(len(tokens), dtype=torch.float64, device=tokens.device)
        for length in lengths.unique().tolist():
            if 2 <= length <= most + 1:
                ends = (lengths == length) & (tokens[:, length - 1] == 0)
                for rows in ends.nonzero()[:, 0].split(_CHUNK):
                    words = self.lexicon.T[tokens[rows, : length - 1].cpu()]
                    found[rows] = self.charts(words)[-1][:, 0, 0].to(found.device)
        return (found / self.lengths(most).sum().item()).log()

    def sampler(self, most: int) -> Callable[[np.random.Generator, int], np.ndarray]:
        """What draws sentences (N, most + 1) of `most` words or fewer, END and PAD behind them.

        The number of words is drawn first, then for each symbol its rule together with the number
        of words that the rule's left side becomes.
        """
        widths = self.widths(most).numpy()
        lengths, words = Choice(widths[None, :, 0]), Choice(_possible(self.lexicon.numpy()))
        # Row (symbol, width), column (rule, words on its left).
        expand = Choice(_possible(self._splits(widths)))
        left, right = self.left.numpy(), self.right.numpy()

        def draw(random: np.random.Generator, count: int) -> np.ndarray:
            sentence = np.arange(count)
            first = symbol = np.zeros_like(sentence)
            width = lengths(random, symbol)
            tokens = np.full((count, most + 1), PAD, np.int32)
            tokens[sentence, width] = 0
            while len(width):
                leaf = width == 1
                tokens[sentence[leaf], first[leaf]] = words(random, symbol[leaf])
                sentence, first, symbol, width = (
                    each[~leaf] for each in (sentence, first, symbol, width)
                )
                found = expand(random, symbol * (most + 1) + width)
                rule, before = np.divmod(found, most + 1)
                sentence = np.concatenate([sentence, sentence])
                first = np.concatenate([first, first + before])
                symbol = np.concatenate([left[rule], right[rule]])
                width = np.concatenate([before, width - before])
            return tokens

        return draw

    def _splits(self, widths: np.ndarray) -> np.ndarray:
        """The probability of a rule r with k words on its left: ((symbol, width), (r, k))."""
        most, symbols = len(widths) - 1, widths.shape[1]
        left, right = widths[:, self.left], widths[:, self.right]
        table = np.zeros((symbols, most + 1, len(self.share), most + 1))
        every = np.arange(len(self.share))
        for width in range(2, most + 1):
            both = left[1:width] * right[width - 1 : 0 : -1] * self.share.numpy()
            table[self.parent, width, every, 1:width] = both.T
        return table.reshape(symbols * (most + 1), -1)


def _possible(weights: np.ndarray) -> np.ndarray:
    """Weights (K, V), something in rows that have none and are never asked for."""
    found = weights.copy()
    found[found.sum(1) == 0, 0] = 1
    return found


def read(request: Request, *, length: int = 20, items: int = 10_000, subset: int = 0) -> Text:
    """Sentences of several lengths and their exact log-probability.

    Args:
        request: Nothing of it is used.
        length: The most tokens of a sentence, its end counted; longer ones are never drawn.
        items: How many are for training; the others are the same for every number of them.
        subset: Seed of the draws.

    Raises:
        UserError: There are no sentences of that length, or too many.
    """
    within("grammar[length]", length, 3, 60)
    source, most = Grammar(RULES), length - 1
    draw = source.sampler(most)
    parts = splits(
        "grammar",
        lambda random, count: Sentences(tokens_of(draw(random, count))),
        items,
        length,
        subset,
    )
    note = (
        f"Sentences have {most} words or fewer, as {source.lengths(most).sum():.4f} of those of "
        "the grammar; probabilities are those among them."
    )
    return Text(
        *parts,
        notes=(note,),
        vocabulary=source.vocabulary,
        log_prob=lambda tokens: source.log_prob(tokens, most),
    )
