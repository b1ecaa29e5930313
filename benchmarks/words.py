"""What is said in a mixed log: words, and names made of them."""

import re

_TEXT = (
    "about above account address after again agenda agreement already amount annual answer april archive arrived article attached autumn balance "
    "before begin between board branch budget building calendar cancel carefully catalogue centre change chapter clause client colleague comment "
    "company complete conference confirm contract copy corner correct country current customer damage data deadline december delivery department "
    "detail discount division document draft early effort electric enclosed engineer estimate evening event example expected extra factory february "
    "figure filter final finish floor folder following freight friday function garden general growth guest handle harbour heavy history holiday "
    "hour house however hundred idea import include increase index inform inside interest invoice january journey july keep kitchen language large "
    "later latest lawyer leader letter level library license limit list local long machine manager march market material matter measure meeting "
    "memory message middle million minute module monday month morning museum near network never north notice november number october offer office "
    "old open option order other outside owner package page paper parcel part partner payment people period phone picture place plan please point "
    "policy position possible post power present press price print problem process produce project proper public quality quarter question quick "
    "railway reason receipt record reduce region remain repair reply report request research response result return review room route safety sample "
    "saturday schedule second section send september series service sheet short signed simple since site small software south special spring staff "
    "standard start station statement still storage street student study subject summer supply support system table team test thanks thing think "
    "thursday ticket today together tomorrow total town trade training transfer travel tuesday under until update urgent usual value vendor version "
    "village visit wait warehouse water wednesday week weekend west window winter within without work world write year yesterday"
)
WORDS = tuple(re.findall(r"\w+", _TEXT))
VENDORS = tuple(f"{WORDS[number * 4]}-{WORDS[number * 3 + 20]}" for number in range(60))
