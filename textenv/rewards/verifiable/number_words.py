"""Words beside a number: which leave it as it is, and which make another value of it."""

from __future__ import annotations

import re


def _words(*texts: str) -> frozenset[str]:
    return frozenset(" ".join(texts).split())


CURRENCY = frozenset("$€£¥₹₩₽₺₴₫฿₦₱¢৳₪₡₲₵₭₮₸₼₾₿﷼")
CURRENCY_CODES = _words(
    "USD EUR GBP INR CNY RMB JPY AUD CAD CHF HKD SGD Rs RM US A AU C CA HK NT R S Rp kr zł"
)

GLUED_UNITS = _words(
    "mm cm dm km in ft yd yds mi mg kg lb lbs oz ml mL cl gal hr hrs min mins sec secs ms mph kph",
    "kmh sq cent cents am pm AM PM day days hour hours minute minutes second seconds week weeks",
    "month months year years kW kWh MB GB TB dollar dollars euro euros pound pounds bucks meter",
    "meters metre metres mile miles feet foot inch inches gram grams unit units times percent pcs",
    "degrees USD EUR GBP INR",
)
"""Units that may stand right behind the digits, as in "18cm"."""

LETTER_UNITS = _words("m g h s l L")
"""Units of one letter, which need a space before them: "5m" may be five millions, or 5 times m."""

COMPOUND = re.compile(
    r"\s*(?:feet|foot|ft|yards?|miles?|hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|"
    r"pounds?|lbs?|kg|kilograms?|km|kilometers?|m|meters?|metres?|dollars?|euros?|gallons?|"
    r"quarts?|cups?|dozens?)\.?,?\s*(?:and\s*)?",
    re.IGNORECASE,
)
"""What joins two numbers into one quantity: "5 hours and 30 minutes"."""

_COUNTS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
_PARTS = (
    "half halves third thirds fourth fourths quarter quarters fifth fifths sixth sixths seventh "
    "sevenths eighth eighths ninth ninths tenth tenths twelfth twelfths hundredth hundredths "
    "thousandth thousandths"
)
_MULTIPLES = (
    "hundred hundreds thousand thousands million millions billion billions trillion trillions "
    "dozen dozens score gross lakh lakhs crore crores mn bn mio mrd tausend millionen milliarde "
    "milliarden mille millón millones mil mila milliard milliards milhão milhões milione milioni "
    "тысяча тысячи тысяч тыс миллион миллиона миллионов млн миллиард миллиарда миллиардов млрд "
    "χιλιάδες χίλια εκατομμύρια लाख करोड़ हज़ार हजार सौ ألف آلاف مليون ملايين مليار مئة"
)
_FUNCTIONS = "sqrt root log ln lg sin cos tan cot sec csc exp mod modulo factorial"
_OPERATIONS = "plus minus over divided multiplied point base"

PARTS = _words(_PARTS, "sum product difference root square cube power logarithm percent")
"""Words of which "X of 36" is not 36."""

NUMBER_WORDS = _words(_COUNTS, _PARTS)
MONTHS = _words(
    "January February March April May June July August September October November December",
    "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec",
)
CHANGES_BEHIND = _words(
    *(_PARTS, _MULTIPLES, _FUNCTIONS, _OPERATIONS),
    "pi squared cubed choose remainder infinity never not",
    "st nd rd th",
)
"""Words that change the number before them: "2 million", "5 squared"."""

CHANGES_BEFORE = _words(
    *(_COUNTS, _MULTIPLES, _FUNCTIONS, _OPERATIONS),
    "twice thrice double triple half times by squared remainder choose",
    "not n't cannot never neither nor except",
    "than least most under above below between exceed exceeds past",
)
"""Words that change the number behind them: "twice 9", "not 18"."""

COUNTS = _words(_COUNTS, _MULTIPLES)
"""Words that a number adds to: "three and 1/2"."""

VARIABLES = re.compile(
    r"[abcd]{2,}|[uvwxyz]{2,}|[pqrst]{2,}|[ijkmn]{2,}|[A-Za-z]|[α-ωΑ-Ω]", re.ASCII
)
"""Letters that stand for quantities: "xy", "n", "π"."""

PLAIN_SHORT = _words("nm ink kin a A I add dad bad cab") | LETTER_UNITS
"""What looks like variables, and is a word."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]"
)
"""Letters of scripts that put no space between a number and a word."""

UNSPACED_BEHIND = re.compile(
    "[万萬亿億兆千仟百佰十拾割点點만억조천백半又多余几]|分之|[个個개]半|ではな|じゃな"
    "|ล้าน|แสน|หมื่น|พัน|ร้อย|ครึ่ง"
)
UNSPACED_BEFORE = re.compile(
    "(?:[第負负ー一二三四五六七八九十百千万萬亿億点點非]|零下|マイナス|分之|不是|不足|至少|至多|超过"
    "|[大小多少]于|ลบ)$"
)
