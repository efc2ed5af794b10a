# SPDX-License-Identifier: Apache-2.0
"""ctr's namespaces, containers and leases: containerd and berthd answer alike, in success and in failure."""

import unittest

from side_by_side import Differs, SideBySide

NAMESPACES = """
namespaces ls
namespaces ls -q
namespaces create alpha
namespaces create beta colour=blue empty= io.example/key=a.b
namespaces create beta
namespaces create beta other=label
namespaces create
namespaces create ''
namespaces create 'bad name'
namespaces create bad/name
namespaces create .a
namespaces create a.
namespaces create a..b
namespaces create a_-b
namespaces create ä
namespaces create $LONG
namespaces create $LONGEST
namespaces create A-1.b_2
namespaces create gamma big=$BIG
namespaces create gamma =value
namespaces create delta noequals
namespaces ls
namespaces ls -q
namespaces label beta colour=red size=large
namespaces ls
namespaces label beta colour= absent=
namespaces label beta a.b/c.d=e
namespaces label beta 'spaces in it=and = in it'
namespaces label beta
namespaces label beta big=$BIG
namespaces label fresh colour=green
namespaces label '' colour=green
namespaces ls
namespaces rm alpha
namespaces rm alpha
namespaces rm absent
namespaces rm ''
namespaces rm
namespaces rm -c beta
namespaces rm fresh absent A-1.b_2
namespaces ls -q
-n filled containers create --config $CONFIG c1
namespaces ls
namespaces rm filled
-n filled containers rm c1
namespaces ls -q
namespaces rm filled
-n leased leases create --id l1
namespaces ls -q
namespaces rm leased
namespaces ls -q
-n leased leases ls -q
-n '' namespaces ls
-n 'bad name' namespaces ls
-n other namespaces create delta
namespaces ls
namespaces rm 'bad name' $LONG
namespaces label 'bad name' colour=green
namespaces label $LONG colour=green
namespaces rm 'bad name'
namespaces rm $LONG
"""

CONTAINERS = """
containers ls
containers ls -q
containers create --config $CONFIG c1
containers create --config $CONFIG --label colour=blue --label io.example/key=a.b --label empty= c2
containers create --config $EMPTY --runtime io.example.other.v1 c3
containers create --rootfs $ROOTFS c4 /bin/true
containers create --config $CONFIG c1
containers create --config $CONFIG
containers create --config $ABSENT c9
containers create --config $BROKEN c9
containers create --config $CONFIG --runtime '' c9
containers create --config $CONFIG 'bad id'
containers create --config $CONFIG a/b
containers create --config $CONFIG ä
containers create --config $CONFIG $LONG
containers create --config $CONFIG $LONGEST
containers create --config $CONFIG --label big=$BIG c9
containers create --config $CONFIG --label =nokey c9
containers create docker.io/library/absent:latest c9
containers ls
containers ls -q
containers info c1
containers info c2
containers info c3
containers info absent
containers info 'bad id'
containers info ''
containers info
containers info $LONG
containers label c1 colour=red size=large
containers label c1 colour= absent=
containers label c1 a.b/c.d=e
containers label c1
containers label c1 big=$BIG
containers label absent colour=red
containers label 'bad id' colour=red
containers info c1
containers ls id==c1
containers ls -q id==c1
containers ls -q id!=c1
containers ls -q id~=^c
containers ls -q 'id~=^c[12]$'
containers ls -q labels.colour
containers ls -q labels.colour==blue
containers ls -q labels.size==large id==c2
containers ls -q labels.size==large,id==c2
containers ls -q 'labels."io.example/key"==a.b'
containers ls -q labels.io.example/key==a.b
containers ls -q image==
containers ls -q image
containers ls -q image!=x
containers ls -q runtime.name==io.example.other.v1
containers ls -q runtime
containers ls -q runtime.options
containers ls -q snapshotter
containers ls -q spec
containers ls -q nonsense
containers ls -q nonsense!=1
containers ls -q 'id~=['
containers ls -q id==
containers ls -q id=c1
containers ls -q id==/x
containers ls -q ,
containers ls -q ''
containers ls -q id==c1 id==
containers ls -q 'id=="c1"'
containers ls -q 'id=="c1'
-n other containers ls
-n other containers info c1
-n other containers create --config $CONFIG c1
-n other containers ls
-n other containers rm c1
-n 'bad ns' containers ls
-n $LONG containers ls
-n bad/ns containers info c1
-n a..b containers rm c1
-n '' containers ls
-n '' containers info c1
-n '' containers rm c1
-n '' containers create --config $CONFIG c9
-n 'bad ns' containers create --config $CONFIG c9
containers rm c1
containers rm c1
containers rm absent
containers rm 'bad id'
containers rm ''
containers rm
containers rm c2 absent c3
containers rm c4 $LONGEST
containers ls
namespaces ls
"""

LEASES = """
leases ls
leases ls -q
leases create --id l1
leases create --id l2 colour=blue io.example/key=a.b
leases create --id l3 --expires 1h
leases create --id l4 --expires 0s
leases create --id l4
-n first leases create
-n first leases ls
-n second leases create colour=red
-n second leases ls
-n third leases create --id ''
-n third leases ls
leases create --id 'bad id'
leases create --id a/b
leases create --id ä
leases create --id $LONG
leases create --id l5 big=$BIG
leases create --id l6 empty=
leases create --id l7 =nokey
leases create --id l8 noequals
leases create --id l9 --expires nonsense
leases create --id l10 containerd.io/gc.expire=nonsense
leases ls
leases ls -q 'id~=^l'
leases ls id==l1
leases ls -q id==l1 id==l2
leases ls -q labels.colour==blue
leases ls -q 'labels."io.example/key"==a.b'
leases ls -q 'id~=^l,labels.colour'
leases ls -q 'id~=^l,labels.colour!=blue'
leases ls -q 'id~=^l,labels."containerd.io/gc.expire"'
leases ls -q created_at
leases ls -q nonsense
leases ls -q id==
leases ls -q id==/x
leases ls -q 'id=="l1'
-n other leases ls
-n other leases create --id l1
-n other leases ls -q
-n other leases rm l1
-n '' leases ls
-n '' leases create --id l1
-n '' leases rm l1
-n 'bad ns' leases ls
-n 'bad ns' leases create --id l1
-n $LONG leases rm l1
leases rm l1
leases rm l1
leases rm absent
leases rm ''
leases rm
leases rm --sync l2
leases rm --sync absent
leases rm l3 absent l4
leases rm 'bad id' a/b ä $LONG
leases ls -q 'id~=^l'
namespaces ls
"""

RULE = "a rule that a request breaks is its caller's mistake, INVALID_ARGUMENT; containerd says UNKNOWN where it forgot to say so"
NAME = "an update must not make a namespace that no call can then use or remove"
TOO_BIG = "ctr: {}label key and value greater than maximum size (4096 bytes), key: big: invalid argument\n"
PATTERN = "^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$"
NAMESPACES_DIFFER = {
    "namespaces create gamma =value": Differs(RULE, stderr="ctr: namespace.Labels: key required: invalid argument\n"),
    "namespaces label beta big=$BIG": Differs(RULE, stderr=TOO_BIG.format("namespace.Labels: ")),
    "namespaces label 'bad name' colour=green": Differs(
        NAME, code=1, stderr=f'ctr: identifier "bad name" must match {PATTERN}: invalid argument\n'),
    "namespaces label $LONG colour=green": Differs(
        NAME, code=1, stderr=f'ctr: identifier "{"n" * 77}" greater than maximum length (76 characters): invalid argument\n'),
    "namespaces rm 'bad name'": Differs(NAME, code=0, stdout="bad name\n", stderr=""),
    "namespaces rm $LONG": Differs(NAME, code=0, stdout=f"{'n' * 77}\n", stderr=""),
}
CONTAINERS_DIFFER = {
    "containers create --config $CONFIG --label =nokey c9": Differs(
        RULE, stderr="ctr: create container failed validation: containers.Labels: key required: invalid argument\n"),
    "containers create docker.io/library/absent:latest c9": Differs(
        "we have no images", stderr="ctr: unknown service containerd.services.images.v1.Images: not implemented\n"),
    "containers ls -q 'id~=['": Differs(
        "a pattern that cannot be compiled is an error, where containerd answers with an empty list", code=1,
        stderr="ctr: filters: parse error: [id~= >|[|< ]: regular expression: missing ]: [: invalid argument: "
               "invalid argument\n"),
}


class Objects(SideBySide):
    def test_namespaces(self):
        self.replay(NAMESPACES, NAMESPACES_DIFFER)

    def test_containers(self):
        self.replay(CONTAINERS, CONTAINERS_DIFFER)

    def test_leases(self):
        self.replay(LEASES)


if __name__ == "__main__":
    unittest.main()
