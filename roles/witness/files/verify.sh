#!/bin/sh
# Checks a ledger of maintenance records with what every hospital has: sh, coreutils, awk and ssh-keygen.
# One entry is checked by hand, inside its folder, by
#
#   sha256sum -c --strict MANIFEST
#   ssh-keygen -Y verify -f allowed_signers -I SIGNER -n maintenance-record -s MANIFEST.sig < MANIFEST
#
# and this script does the same for all of them, with what those two cannot see: files that were added, the order, the
# hospital's own list. Run the hospital's copy: no signature covers one that came with a ledger.
set -euf
LC_ALL=C TZ=UTC0 # names are bytes; and OpenSSH before 9.1 reads a verify-time as local time
export LC_ALL TZ
unset CDPATH

usage() {
    cat <<'END'
usage: verify.sh [LEDGER_DIR] [--heads FILE] [--allowed-signers FILE] [--receipts DIR]
                 [--revoked FILE [--revoked-since TIME]] [--sm2-signers FILE]
  LEDGER_DIR              the ledger; the current folder without it
  --heads FILE            the hospital's list of heads ("seq sha256 time" a line), copied from its witness
  --allowed-signers FILE  the keys that the hospital trusts; without it those that the ledger itself names
  --receipts DIR          receipts kept outside the ledger, as in the witness's store; those inside are always checked
  --revoked FILE          revoked keys: a KRL, or public keys, one a line
  --revoked-since TIME    when they were lost (2026-11-22T13:00:00Z): what the hospital had received before still counts
  --sm2-signers FILE      the SM2 keys that the hospital trusts; without it those that the ledger itself names
exit code: 0 sound, 4 not sound, 2 not checked
END
}
stop() {
    printf 'verify.sh: %s\n' "$1" >&2
    exit 2
}
absolute() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s/%s\n' "$PWD" "$1" ;; esac }

ledger='' heads='' signers='' receipts='' revoked='' since='' sm2=''
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        usage
        exit 0
        ;;
    --revoked-since)
        since=${2-}
        case $since in
        [0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z) ;;
        *) stop "$1 needs an instant such as 2026-11-22T13:00:00Z" ;;
        esac
        since=$(printf %s "$since" | tr -cd 0-9)
        shift
        ;;
    --heads | --allowed-signers | --receipts | --revoked | --sm2-signers)
        [ $# -ge 2 ] || stop "$1 needs a value"
        value=$(absolute "$2")
        [ -r "$value" ] || stop "cannot read $2"
        case $1 in
        --heads) heads=$value ;;
        --allowed-signers) signers=$value ;;
        --receipts) receipts=$value ;;
        --revoked) revoked=$value ;;
        --sm2-signers) sm2=$value ;;
        esac
        shift
        ;;
    -*) stop "unknown option $1 (--help lists them)" ;;
    *)
        [ -z "$ledger" ] || stop 'one ledger at a time'
        ledger=$1
        ;;
    esac
    shift
done
command -v ssh-keygen >/dev/null || stop 'ssh-keygen (OpenSSH 8.2 or newer) is not installed'
cd -- "${ledger:-.}" 2>/dev/null || stop "no folder ${ledger:-.}"

tmp=$(mktemp -d)
export VERIFY_TMP="$tmp"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 2' HUP INT TERM
for list in faults warnings claims received work; do : >"$tmp/$list"; done
fault() { printf 'fault: %s: %s\n' "$1" "$2" >>"$tmp/faults"; }
note() { printf 'note: %s\n' "$1"; }

# What lies there. A name outside [A-Za-z0-9._-] is a fault here and now; no later step ever sees one.
# shellcheck disable=SC2016  # the inner shell expands
find . \( -name '*[!A-Za-z0-9._-]*' -o -name '-*' \) -prune -exec sh -c '
    for name; do
        printf "fault: %s: no entry may use such a name; it was put there by other means\n" \
            "$(printf %s "${name#./}" | tr -c "A-Za-z0-9._/-" "?")"
    done' sh {} + >>"$tmp/faults"
listed() { find . \( -name '*[!A-Za-z0-9._-]*' -o -name '-*' -o -path './.tmp-*' \) -prune -o "$@" -print; }
listed ! -type f ! -type d | while IFS= read -r name; do
    fault "${name#./}" 'is a link or a device and no file: what it shows can change without a trace'
done
listed -type f -path './[0-9]*' >"$tmp/files"
listed -type d -path './[0-9]*' >"$tmp/folders"
sed -n 's|^\./\([^/]*\)$|\1|p' "$tmp/folders" | sort -n >"$tmp/entries"
[ -s "$tmp/entries" ] || stop "no ledger in $PWD: it has no entry"
for name in $(listed ! -name . -prune ! -name '[0-9]*' ! -name receipts ! -name verify.sh ! -name .lock ! -name '.run-*'); do
    fault "${name#./}" 'is no entry: it was put into the ledger, or an entry was renamed'
done
# What cannot be read gets no digest here, and is a fault further down.
xargs sha256sum <"$tmp/files" >"$tmp/sums" 2>/dev/null || :
sed -n '\|^\./[^/]*/MANIFEST$|p' "$tmp/files" | xargs wc -c /dev/null >"$tmp/sizes" 2>/dev/null || :

# Whose keys count. A ledger's own list begins with its genesis; a later entry that an allowed key signed may replace it.
follow=''
if [ -n "$signers" ]; then
    note "keys: those of $signers"
else
    note 'keys: those that the ledger names itself. This shows that the ledger agrees with itself, not who wrote it: give the list of the hospital with --allowed-signers'
    follow=yes
    signers=$(sed -n 's|^0*1-genesis-.*|&/allowed_signers|p' "$tmp/entries" | head -n 1)
    if [ ! -f "$signers" ] || [ ! -r "$signers" ]; then
        fault "${signers%/*}" 'no allowed_signers here, and none given: no signature can be checked'
        signers=/dev/null
    fi
fi
signed() { # SIGNERS PRINCIPAL NAMESPACE TIME(YYYYMMDDHHMMSS) FILE [KEYGEN-OPTION...]: is FILE.sig a signature of FILE?
    keys=$1 principal=$2 namespace=$3 moment=$4 file=$5
    shift 5
    [ -f "$file.sig" ] || { # a pipe would keep ssh-keygen for ever
        echo 'there is no signature' >"$tmp/why"
        return 1
    }
    ssh-keygen -Y verify -f "$keys" -I "$principal" -n "$namespace" -Overify-time="$moment" -s "$file.sig" "$@" \
        <"$file" >"$tmp/why" 2>&1
}

# Receipts first: the hospital's time decides at which moment a key had to be valid.
find . -path './receipts/*.receipt' -type f >"$tmp/receipts"
sed -n '\|^\./[^/]*/receipts/[^/]*\.receipt$|p' "$tmp/files" >>"$tmp/receipts"
[ -z "$receipts" ] || find "$receipts/" -name '.tmp-*' -prune -o -type f \( -name receipt -o -name '*.receipt' \) -print >>"$tmp/receipts"
awk '
    {
        file = $0; n = 0; split("", line)
        while ((getline text < file) > 0) line[++n] = text
        close(file)
        if (n == 5 && line[1] == "maintenance-receipt v1" && line[2] ~ /^site [A-Za-z0-9._-]+$/ &&
            line[3] ~ /^seq [1-9][0-9]*$/ && line[4] ~ /^sha256 [0-9a-f]+$/ && line[5] ~ /^time [0-9TZ:-]+$/) {
            time = substr(line[5], 6); digits = time; gsub(/[^0-9]/, "", digits)
            print substr(line[3], 5), substr(line[4], 8), time, substr(line[2], 6), digits, file
        } else print "fault: " file ": is not a receipt: the hospital wrote no such text" >> (ENVIRON["VERIFY_TMP"] "/faults")
    }' "$tmp/receipts" >"$tmp/claims"
if [ -n "$follow" ]; then
    sed -n '\|^\./[^/]*/allowed_signers$|p' "$tmp/files" | xargs awk 1 /dev/null >"$tmp/signers"
else
    cat "$signers" >"$tmp/signers"
fi
# A key is a witness when its own line says so: an engineer cannot give himself a receipt.
witnesses=$(sed -n '/^#/d; /namespaces="[^"]*maintenance-receipt/s/[[:space:]].*//p' "$tmp/signers" | tr ',"' '\n ' | sort -u)
is_receipt() {
    for witness in $witnesses; do
        signed "$tmp/signers" "$witness" maintenance-receipt "$1" "$2" ${revoked:+-r "$revoked"} && return
    done
    return 1
}
while read -r seq sha256 time site digits file; do
    if is_receipt "$digits" "$file"; then
        printf '%s %s %s %s %s\n' "$seq" "$sha256" "$time" "$site" "$file" >>"$tmp/received"
    else
        fault "$file" 'no key that may sign receipts has signed it: it proves nothing'
    fi
done <"$tmp/claims"

# Everything but signatures, in one pass. Writes faults, warnings, and the work left: a signature a line.
VERIFY_HEADS=$heads awk '
    function fault(entry, text) { print "fault: " entry ": " text >> faults }
    function warn(entry, text) { print "warning: " entry ": " text >> warnings }
    function shown(text) { return "\"" substr(text, 1, 120) "\"" }
    function named(first, last) { return sprintf("%06d", first) (first == last ? "" : sprintf(" to %06d", last)) }
    function is_time(text,    year, month, day, days) {
        if (text !~ /^[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$/) return 0
        year = decimal(substr(text, 1, 4)); month = decimal(substr(text, 6, 2)); day = decimal(substr(text, 9, 2))
        days = (month == 2 ? 28 + (year % 4 == 0 && (year % 100 || year % 400 == 0)) : 30 + (month % 2 == (month < 8)))
        return year && month && month < 13 && day && day <= days && decimal(substr(text, 12, 2)) < 24
    }
    function decimal(text) { sub(/^0+/, "", text); return text + 0 } # the awk of busybox takes 010 for eight
    function seconds(text,    year, month) { # of an instant; the calendar counted from March, so that a leap day comes last
        year = decimal(substr(text, 1, 4)); month = decimal(substr(text, 6, 2))
        if (month < 3) { year--; month += 12 }
        return (365 * year + int(year / 4) - int(year / 100) + int(year / 400) + int((153 * month - 457) / 5) \
            + decimal(substr(text, 9, 2))) * 86400 + decimal(substr(text, 12, 2)) * 3600 \
            + decimal(substr(text, 15, 2)) * 60 + decimal(substr(text, 18, 2))
    }
    function check_name(name,    rest) { # sets number, kind and title; false when the folder is no entry
        number = name; sub(/-.*/, "", number); rest = substr(name, length(number) + 2)
        kind = rest; sub(/-.*/, "", kind); title = substr(rest, length(kind) + 2)
        if (length(number) != 6 || number !~ /^[0-9]+$/ || decimal(number) == 0 || title !~ /^[A-Za-z0-9]/) {
            fault(name, "is not named NNNNNN-kind-name: it is no entry"); return 0
        }
        if (!index(" genesis open close abandoned entry correction receipt refused checkpoint unrecorded ", " " kind " "))
            fault(name, "there is no kind of entry " shown(kind))
        number = decimal(number)
        return 1
    }
    function check_header(    i, want) { # sets signer and time; false when they cannot be read
        if (site == "") site = (kind == "genesis" ? title : substr(line[2], 8))
        want[1] = "# maintenance-record-manifest v1"; want[2] = "# site " site
        want[3] = "# seq " number; want[4] = "# kind " kind
        want[5] = "# run " title
        if (line[1] != want[1]) { fault(name, "its MANIFEST is not one: it was changed or exchanged"); return 0 }
        for (i = 2; i <= 5; i++) if (line[i] != want[i])
            fault(name, "MANIFEST says " shown(line[i]) " where this place needs " shown(want[i]) ": it was made for another place")
        signer = line[6]; time = line[7]
        if (site !~ /^[A-Za-z0-9._-]+$/ || line[5] !~ /^# run [A-Za-z0-9._-]+$/ || !sub(/^# signer /, "", signer) || signer !~ /^[A-Za-z0-9@._+-]+$/ ||
            !sub(/^# time /, "", time) || !is_time(time)) {
            fault(name, "the header of MANIFEST is malformed: who signed it, and when, cannot be read"); return 0
        }
        return 1
    }
    function check_line(text,    digest, path, part, parts, i, folder) {
        digest = substr(text, 1, 64); path = substr(text, 67)
        if (digest !~ /^[0-9a-f]+$/ || substr(text, 65, 2) != "  " || path !~ /^[A-Za-z0-9._\/-]+$/ ||
            ("/" path "/") ~ "/[^A-Za-z0-9_]" || path ~ /^MANIFEST(\.sig|\.sm2sig)?$/) {
            fault(name, "MANIFEST has the line " shown(text) ", which lists no file of this entry"); return
        }
        if (("./" name "/" path) in known) fault(name, path " is listed twice")
        parts = split(path, part, "/"); folder = "./" name
        for (i = 1; i < parts; i++) { folder = folder "/" part[i]; known[folder] }
        known["./" name "/" path]
        if (!(("./" name "/" path) in sum)) fault(name, path " is listed but missing or unreadable: it was removed after signing")
        else if (sum["./" name "/" path] != digest) fault(name, path " is not what was signed: it was changed or exchanged")
    }
    function check_run(    run) {
        run = title
        if (kind == "open") {
            if (run in opened) fault(name, "run " run " was opened before, by " opened[run]); else opened[run] = name
        } else if (kind == "close" || kind == "abandoned") {
            if (!(run in opened)) fault(name, "closes run " run ", which no earlier entry opened")
            else if (run in closed) fault(name, "run " run " was closed before, by " closed[run])
            closed[run] = name
        }
    }
    function check_held(seq, sha256, at, source) { # what the hospital says it holds
        if (!(seq in entry)) { if (seq > last) cut = (seq > cut ? seq : cut); else fault(named(seq, seq), "the hospital holds this entry, the ledger does not (" source ")") }
        else if (sum["./" entry[seq] "/MANIFEST"] != sha256)
            fault(entry[seq], "its MANIFEST is not the one that the hospital holds (" source "): the entry, or the whole chain, was signed again")
        else if (!(seq in held)) held[seq] = at
    }
    BEGIN {
        tmp = ENVIRON["VERIFY_TMP"]; heads = ENVIRON["VERIFY_HEADS"]; faults = tmp "/faults"; warnings = tmp "/warnings"
        while ((getline text < (tmp "/sums")) > 0) sum[substr(text, 67)] = substr(text, 1, 64)
        while ((getline text < (tmp "/sizes")) > 0) { split(text, part, " "); size[part[2]] = part[1] + 0 }
        while ((getline name < (tmp "/entries")) > 0) {
            if (!check_name(name)) continue
            if (number == last) fault(name, "number " number " is used twice: an entry was copied or put in")
            else if (number != last + 1) fault(named(last + 1, number - 1), "missing: deleted, or never copied here")
            if ((number == 1) != (kind == "genesis")) fault(name, "a ledger begins with its genesis, and has one only")
            split("", line); count = 0; bytes = 0; file = "./" name "/MANIFEST"
            while ((file in sum) && (getline text < file) > 0) { line[++count] = text; bytes += length(text) + 1 }
            close(file)
            known["./" name]; known["./" name "/MANIFEST"]; known["./" name "/MANIFEST.sig"]; known["./" name "/MANIFEST.sm2sig"]
            if (!(("./" name "/MANIFEST") in sum)) fault(name, "has no MANIFEST that can be read: nothing in it is signed")
            else {
                if (bytes != size[file]) fault(name, "its MANIFEST is not lines of text, each with its end: it can be read in two ways")
                if (check_header()) {
                    if (before_time != "" && time < before_time) warn(name, "is dated " time ", before the entry that precedes it (" before_time "): a clock was set, or it is back-dated")
                    before_time = time
                    if (!(("./" name "/MANIFEST.sig") in sum)) fault(name, "has no MANIFEST.sig that can be read: nobody signed it")
                    else { ready[++jobs] = name; signers[jobs] = signer; times[jobs] = time; numbers[jobs] = number }
                    if (number > 1 && line[8] != sum["./" before "/MANIFEST"] "  ../" before "/MANIFEST")
                        fault(name, "does not follow " (before == "" ? "any entry" : before) ": its first line is " shown(line[8]) "; one of the two was changed, exchanged or put in")
                    first = number > 1 ? 9 : 8
                    if (count < first) fault(name, "lists no file")
                    for (i = first; i <= count; i++) check_line(line[i])
                }
                check_run()
            }
            if (!(number in entry)) entry[number] = name
            last = number; before = name
        }
        while ((getline text < (tmp "/files")) > 0) if (!(text in known))
            fault(substr(text, 3), "no MANIFEST lists this file: it was added after signing")
        while ((getline text < (tmp "/folders")) > 0) if (!(text in known) && text ~ /^\.\/.*\//)
            fault(substr(text, 3), "no MANIFEST lists anything in this folder: it was added after signing")
        for (i = 1; i <= last; i++) if (i in entry) for (run in opened) if (opened[run] == entry[i] && !(run in closed))
            warn(opened[run], "open without a close: run " run " is going on, or was killed and not yet closed as abandoned")

        while ((getline text < (tmp "/received")) > 0) {
            split(text, part, " ")
            if (part[4] != site) fault(part[5], "is a receipt of site " part[4] ", not of " site)
            else check_held(part[1] + 0, part[2], part[3], "receipt")
        }
        if (heads != "") {
            while ((getline text < heads) > 0) {
                if (split(text, part, " ") != 3 || part[1] !~ /^[1-9][0-9]*$/ || length(part[2]) != 64 || !is_time(part[3])) {
                    fault("heads", "the line " shown(text) " cannot be read"); continue
                }
                if (part[1] != head + 1) fault("heads", "goes from " head + 0 " to " part[1] ": the list of the hospital is not complete")
                head = part[1] + 0
                check_held(head, part[2], part[3], "heads")
            }
            if (head < last) warn(named(head + 1, last), "not in the heads of the hospital: not delivered yet, or made after that list was copied")
        }
        if (cut > last) fault(named(last + 1, cut), "the hospital holds these entries, the ledger ends before: its tail was cut off")

        for (i = 1; i <= jobs; i++) {
            at = times[i]; source = "own"
            if (numbers[i] in held && entry[numbers[i]] == ready[i]) {
                at = held[numbers[i]]; source = "hospital"; late = seconds(at) - seconds(times[i])
                if (late > 86400) warn(ready[i], "says " times[i] ", and the hospital received it at " at ": made without a connection, or back-dated")
                if (late < -600) warn(ready[i], "says " times[i] ", and the hospital received it before, at " at ": one of the clocks is wrong")
            }
            gsub(/[^0-9]/, "", at)
            print ready[i], signers[i], at, source > (tmp "/work")
        }
    }'

# A second signature by SM2, where a list names an SM2 key of the signer. The list, and the SSH signature over the MANIFEST
# that names its digest, stand in the entry that brings it.
sm2_list=$sm2 sm2_checked=0 sm2_unchecked=0
can_sm2=''
openssl list -public-key-algorithms 2>/dev/null | grep -q SM2 && can_sm2=yes
check_sm2() { # ENTRY SIGNER
    if [ -z "$sm2" ] && [ -f "$1/sm2_signers" ]; then sm2_list=$1/sm2_signers; fi
    : >"$tmp/sm2_key"
    [ -z "$sm2_list" ] || awk -v who="$2" '
        /^-----BEGIN PUBLIC KEY-----$/ { inside = 1 }
        inside { if (name == who) print }
        /^-----END PUBLIC KEY-----$/ { inside = 0; next }
        !inside { name = $0 }' "$sm2_list" >"$tmp/sm2_key"
    if [ ! -s "$tmp/sm2_key" ]; then
        [ ! -f "$1/MANIFEST.sm2sig" ] || fault "$1" "MANIFEST.sm2sig stands there, and no sm2_signers names a key of $2: nobody can check it"
    elif [ ! -f "$1/MANIFEST.sm2sig" ]; then
        fault "$1" "MANIFEST.sm2sig is missing, though $2 signs by SM2 too: the second signature was taken away"
    elif [ -z "$can_sm2" ]; then
        sm2_unchecked=$((sm2_unchecked + 1))
    elif openssl pkey -pubin -in "$tmp/sm2_key" -noout -text 2>/dev/null | grep -q 'OID: SM2' &&
        openssl pkeyutl -verify -rawin -digest sm3 -pkeyopt distid:1234567812345678 -pubin -inkey "$tmp/sm2_key" \
            -in "$1/MANIFEST" -sigfile "$1/MANIFEST.sm2sig" >/dev/null 2>&1; then
        sm2_checked=$((sm2_checked + 1))
    else
        fault "$1" "the SM2 signature does not hold for $2: the text was changed, or another key signed it"
    fi
}
# Who may change the list of keys without a key that it names: the hospital, by its own signature beside the new list.
vouched() { # ENTRY MOMENT
    [ -n "$follow" ] && [ -f "$1/allowed_signers" ] && [ -f "$1/allowed_signers.sig" ] || return 1
    for person in $(sed -n '/^#/d; /namespaces="[^"]*maintenance-signers/s/[[:space:]].*//p' "$signers" | tr ',"' '\n ' | sort -u); do
        signed "$signers" "$person" maintenance-signers "$2" "$1/allowed_signers" ${lost:+-r "$lost"} && return
    done
    return 1
}

# An order in an open: the hospital's approvals over its exact bytes. A person and a key count once, the vendor's never.
check_order() { # ENTRY MOMENT
    [ -f "$1/order.json" ] || return 0
    cp -- "$1/order.json" "$tmp/order"
    needed=$(sed -n 's/^  "approvals": \([0-9][0-9]*\),*$/\1/p' "$tmp/order" | head -n 1)
    engineer=$(sed -n '/^  "engineer": {/,/^  }/s/.*"principal": "\([A-Za-z0-9@._+-]*\)".*/\1/p' "$tmp/order" | head -n 1)
    rm -f "$tmp/order.sig"
    [ ! -f "$1/order.json.engineer.sig" ] || cp -- "$1/order.json.engineer.sig" "$tmp/order.sig"
    signed "$signers" "${engineer:-nobody}" maintenance-record "$2" "$tmp/order" ${lost:+-r "$lost"} ||
        fault "$1" "its order is not signed by the engineer whom it names"
    # The lines that may approve, each with its number; a key that may also sign records is the vendor's.
    awk '
        function key_of(text) { return match(text, /(ssh|ecdsa|sk)-[^ \t]+[ \t]+AAAA[^ \t]+/) ? substr(text, RSTART, RLENGTH) : "" }
        /^#/ { next }
        {
            key = key_of($0)
            names = match($0, /namespaces="[^"]*"/) ? "," substr($0, RSTART + 12, RLENGTH - 13) "," : ",*,"
            if (names ~ /,maintenance-record,|[*?]/) vendor[key]
            if (names ~ /,maintenance-order,/) { line[++count] = NR; of[count] = key }
        }
        END { for (i = 1; i <= count; i++) if (!(of[i] in vendor)) print line[i] }' "$signers" >"$tmp/approvers"
    held=0 counted=' '
    # shellcheck disable=SC2013  # words: numbers, and names that the search above has let through
    for number in $(cat "$tmp/approvers"); do
        sed -n "${number}p" "$signers" >"$tmp/one"
        person=$(sed 's/[[:space:]].*//; s/"//g; s/,.*//' "$tmp/one")
        keyed=$(sed 's/.*\(AAAA[^[:space:]]*\).*/\1/' "$tmp/one")
        case $counted in *" $person "* | *" $keyed "*) continue ;; esac
        [ "$person" != "$engineer" ] || continue
        for signature in $(sed -n "s|^\./$1/\(order\.json\..*\.sig\)$|\1|p; s|^\./$1/\(order\.json\.sig\)$|\1|p" "$tmp/files"); do
            cp -- "$1/$signature" "$tmp/order.sig"
            if signed "$tmp/one" "$person" maintenance-order "$2" "$tmp/order" ${lost:+-r "$lost"}; then
                held=$((held + 1)) counted="$counted$person $keyed "
                break
            fi
        done
    done
    [ "$held" -ge "${needed:-1}" ] || fault "$1" "its order has $held of ${needed:-1} approvals of the hospital"
}
# An acceptance in a receipt: signed for the hospital, and of entries that stand in this ledger as they were accepted.
check_acceptance() { # ENTRY MOMENT
    [ -f "$1/acceptance.json" ] || return 0
    is_receipt "$2" "$1/acceptance.json" || fault "$1" 'its acceptance is signed by nobody who may accept for the hospital'
    # shellcheck disable=SC2013
    for digest in $(sed -n 's/.*"manifest_sha256": "\([0-9a-f]*\)".*/\1/p' "$1/acceptance.json"); do
        grep -q "^$digest  \./[^/]*/MANIFEST$" "$tmp/sums" || fault "$1" "its acceptance is of another entry than those that stand here ($digest)"
    done
    of=$(sed -n 's/^ *"seq": \([0-9]*\),*$/\1/p' "$1/acceptance.json")
    case ${1#*-receipt-},$of in
    [0-9][0-9][0-9][0-9][0-9][0-9],*[!0-9]* | [0-9][0-9][0-9][0-9][0-9][0-9],) ;; # of many
    [0-9][0-9][0-9][0-9][0-9][0-9],*)
        [ "$(printf %06d "$of")" = "${1#*-receipt-}" ] || fault "$1" "its acceptance is of entry $of, not of ${1#*-receipt-}"
        ;;
    esac
}

# Signatures, each at the moment when the hospital received the entry; without a receipt at the entry's own, unproven one.
own=0
while read -r entry signer moment source; do
    [ "$source" = hospital ] || own=$((own + 1))
    lost=$revoked
    if [ "$source" = hospital ] && [ -n "$since" ] && [ "$moment" -lt "$since" ]; then lost=''; fi
    check_sm2 "$entry" "$signer"
    case $entry in
    *-open-*) check_order "$entry" "$moment" ;;
    *-receipt-*) check_acceptance "$entry" "$moment" ;;
    esac
    ! vouched "$entry" "$moment" || signers=$entry/allowed_signers
    if signed "$signers" "$signer" maintenance-record "$moment" "$entry/MANIFEST" ${lost:+-r "$lost"}; then
        [ -z "$follow" ] || [ ! -f "$entry/allowed_signers" ] || signers=$entry/allowed_signers
        continue
    fi
    reason=$(tail -n 1 "$tmp/why" | tr -cd ' -~')
    if [ -n "$lost" ] && signed "$signers" "$signer" maintenance-record "$moment" "$entry/MANIFEST"; then
        reason="its key is revoked; it stands only if the hospital had it before the key was lost, and the time here is the $source's"
    fi
    fault "$entry" "the signature does not hold for $signer at $moment: the text was changed, or this key may not sign it ($reason)"
done <"$tmp/work"

total=$(wc -l <"$tmp/work")
[ "$own" -eq 0 ] || note "$own of $((total)) signatures were checked at the time that the entry itself states, for want of a receipt: an expired key with an earlier date passes"
[ "$sm2_checked" -eq 0 ] || note "$sm2_checked SM2 signatures hold"
[ "$sm2_unchecked" -eq 0 ] || note "$sm2_unchecked SM2 signatures were not checked: that takes OpenSSL 3"
[ -n "$heads" ] || note 'no --heads: a tail cut off, a whole chain signed again and a back-dated entry cannot be seen beyond what receipts show. Ask the hospital for the file heads of its witness'
cat "$tmp/warnings" "$tmp/faults" | sort -s -t : -k 1,1r -k 2,2 | tr -c '\n -~' '?' # a ledger cannot speak to the terminal
if [ -s "$tmp/faults" ]; then
    printf 'NOT sound: %s faults\n' "$(($(wc -l <"$tmp/faults")))"
    exit 4
fi
printf 'sound: %s entries\n' "$(($(wc -l <"$tmp/entries")))"
