# Puts the settings of config/boris-ingestd.ini, the file's own comments as their descriptions, into the manual page
# boris-ingestd.ini(5), where its source (the variable `page`) has the line @SETTINGS@.
BEGIN {
        while ((getline line < page) > 0 && line != "@SETTINGS@")
                print line
}

# The words of a comment as mdoc(7): a sentence a line, `commands` bold, nothing taken for a request.
function describe(text) {
        gsub(/\\/, "\\e", text)
        gsub(/--/, "\\-\\-", text)
        while (match(text, /`[^`]*`/))
                text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" \
                       substr(text, RSTART + RLENGTH)
        gsub(/\. /, ".\n", text)
        gsub(/\n[.']/, "\n\\\\\\&&", text)
        sub(/^[.']/, "\\\\\\&&", text)
        print text
}

function end_entry() {
        if (tagged)
                describe(text)
        tagged = 0
        text = ""
}

function end_section() {
        end_entry()
        if (section)
                print ".El"
        section = ""
}

/^\[/ {
        end_section()
        section = $0
        print ".Ss " section
        print ".Bl -tag -width 4n"
        next
}

/^;[a-z_]+ =/ {
        key = value = substr($0, 2)
        sub(/ =.*/, "", key)
        sub(/^[a-z_]+ = ?/, "", value)
        print ".It Cm " key " \"=" (value == "" ? "" : " " value) "\""
        tagged = 1
        next
}

/^;/ && section {
        if (tagged)
                end_entry()
        text = text (text == "" ? "" : " ") substr($0, 3)
        next
}

/^$/ { end_entry() }

END {
        end_section()
        while ((getline line < page) > 0)
                print line
}
