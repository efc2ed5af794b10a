# SPDX-License-Identifier: Apache-2.0
"""Regular expressions in filters: containerd and berthd find the same containers, and berthd refuses what Go does not compile."""

import unittest

from side_by_side import SideBySide

TEXTS = ["", "a", "b", "aa", "ab", "abc", "aab", "a\nb", "a\n", "a b", "A", "Z", "R", "h", "X", "é", "É", "λ", "漢", "\u212a", "ſ",
         "\v", "\t", "a.b", "a_1", "(a)", "\\", "\\C", "[x]", "{1}", "42", "٤٢", "🚢", "foobar", "foo", "/var/lib/7", "/" * 990]

# Those that Go compiles.
COMPILED = r"""
a|b
^a
a$
^$
^*
^*a
$*
(^)*
a.b
(?s)a.b
(?m)a$
(?m)^b
(?m:^b$)
\Aa
a\z
^[^a]$
[]a]
[^]a]
[a\]]
[a-]
^[[:alpha:]]+$
^[[:word:]]+$
^[[:^alpha:]]+$
^[^[:digit:]]$
\d
\D$
^\d+$
\s
^\s$
^\S$
\w
^\W$
^\w+$
\bfoo\b
\Bbar
\v
\t
\x61
\x{e9}
^\x{1F6A2}$
\141
^\pL$
^\p{L}$
^\p{Lu}$
^\PL$
^\p{Greek}$
^\p{Han}$
^\p{^Greek}$
^[\p{L}\d]+$
^\pN+$
(?i)a
(?i)k
(?i)s
(?i)É
(?i:A)b
(?-i)a
(?U)^a+
(?Us)a.*b
^a{2}$
^a{1,}$
^a{0,1}$
^a{1,2}b$
a{,2}
a{
a{x}
{
a{1000}
a+?b
a??b
a*?$
a{1,2}?b
(?P<n>a)(?P<m>b)
(?P<n>a)(?P<n>b)
(a)(b)
(?:a)(?:b)
()
(|a)
a||b
((((((((((a))))))))))
^\Q(a)\E$
\Qa.b
\Q\C\E
\Q\E
\\
\\C
\\\\
\.
\_
\/
\(a\)
}
]
^.$
^..$
/.*/.*[0-9]
(/.*)*7
(a+)+$
foo(bar)?
^(foo|foobar)$
\pX|
""".strip().splitlines()[:-1]

# Those of other dialects, and broken ones.
REFUSED = r"""
a(?=b)
foo(?=bar)
a(?!b)
(?<=a)b
(?<!a)b
(?>a)b
(?>a*)b
a++
a*+b
a?+
a{2}+
[a]++
\R
\h
\H
\X
\G
\Z
a\Z
\K
\N
\V
\e
\cA
\o{101}
\C
a\C
\i
\y
\é
(a)\1
\g{1}
\k<n>
(?R)
(?1)
(?&n)
(?|a|b)
(?#a)a
(?x)a
(?J)a
(?<n>a)
(?'n'a)
(?P=n)
(?P<>a)
(?(1)a)
(*UTF)a
(*ANY)a
(?C1)a
*
+a
?a
{1}
a**
a***
a+*
a??*
|*
(*a)
(
)
(a
a)
(?
(?i
(?P
[
[a
[]
[^]
[b-a]
[a-\d]
[[:nope:]]
[\Qa]
[\C]
[\b]
\
a\
\8
\9
\x
\x{
\x{110000}
\x{zz}
\pX
\p
\p{
\p{Nope}
\p{^}
a{1001}
a{2,1}
a{1000}{2}
(a{100}){100}
\E\C
""".strip().splitlines()


class Filters(SideBySide):
    def setUp(self):
        super().setUp()
        self.words["T"] = "$T"
        for i, text in enumerate(TEXTS):
            self.words[f"TEXT{i}"] = text
            made = self.both(lambda daemon, i=i: self.ctr(daemon, f"containers create --config $CONFIG --label 't=$TEXT{i}' c{i}"))
            self.assertEqual([0, 0], [each["code"] for each in made], made)

    def find(self, daemon, pattern):
        """What ctr prints, and whether containerd's log has since told of a pattern that does not compile."""
        quoted = pattern.replace("\\", "\\\\").replace('"', '\\"')
        self.words["FILTER"] = f'labels.t~="{quoted}"'
        log = daemon.workshop.top / "log"
        before = log.stat().st_size
        done = self.ctr(daemon, "containers ls -q '$FILTER'")
        done["complaint"] = b"error compiling regexp" in log.read_bytes()[before:]
        return done

    def test_what_go_compiles_finds_the_same(self):
        found = set()
        for pattern in COMPILED:
            with self.subTest(pattern=pattern):
                ours, theirs = self.both(lambda daemon, pattern=pattern: self.find(daemon, pattern))
                self.assertFalse(theirs["complaint"])
                self.assertEqual(theirs, ours)
                self.assertEqual(0, ours["code"])
                found.add(ours["stdout"])
        self.assertLess(20, len(found), "the patterns tell the texts apart")

    def test_what_go_does_not_compile_is_refused_where_containerd_lists_nothing(self):
        for pattern in REFUSED:
            with self.subTest(pattern=pattern):
                ours, theirs = self.both(lambda daemon, pattern=pattern: self.find(daemon, pattern))
                self.assertEqual((0, "", True), (theirs["code"], theirs["stdout"], theirs["complaint"]))
                self.assertEqual(1, ours["code"])
                self.assertRegex(ours["stderr"], r"(?s)filters: parse error: \[labels\.t~= >\|\"\|< .*\]: regular expression: .+: invalid argument")


if __name__ == "__main__":
    unittest.main()
