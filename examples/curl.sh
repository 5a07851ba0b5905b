#!/bin/sh
# Asks a published solver for the answer to a Sudoku, with curl alone.
#
#   examples/curl.sh sudoku-6x6 4..3........5.1.4...26........1...5. http://localhost:8000
#
# A token is 1 for an empty cell and 1 more than the digit for any other. Both calls give the same answer; `generate`
# takes one puzzle and needs no types, `infer` takes several. Both take the same parameters, if any.
set -eu
model=$1
puzzle=$2
server=${3:-http://localhost:8000}
tokens=$(printf %s "$puzzle" | tr . 0 | fold -w 1 | awk '{ printf "%s%d", (NR > 1 ? ", " : ""), $1 + 1 }')

curl --fail-with-body --silent --show-error "$server/v2/models/$model/generate" --data "{\"inputs\": [$tokens]}"
echo
curl --fail-with-body --silent --show-error "$server/v2/models/$model/infer" --data "{
    \"parameters\": {\"policy\": \"fixed\", \"queue_priority\": 1, \"timeout\": 2000000},
    \"inputs\": [{\"name\": \"inputs\", \"shape\": [1, ${#puzzle}], \"datatype\": \"INT32\", \"data\": [$tokens]}]
}"
echo
