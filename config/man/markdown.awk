# Makes a manual page, mdoc(7), of one of our markdown pages: headings, paragraphs, lists with "-", tables, indented code.
# Variables: title (BORIS-INGESTD-WIRE), section (5), name, about (one line), date.
BEGIN {
        printf ".Dd %s\n.Dt %s %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n", date, title, section, name, about
        print ".Sh DESCRIPTION"
}

# A text as mdoc: `code` and **strong** bold, links as their text, a sentence a line, nothing taken for a request.
function write(text) {
        gsub(/\\\|/, "|", text)
        gsub(/\\/, "\\e", text)
        gsub(/--/, "\\-\\-", text)
        while (match(text, /\[[^]]*\]\([^)]*\)/)) {
                link = substr(text, RSTART, RLENGTH)
                sub(/^\[/, "", link)
                sub(/\]\(.*$/, "", link)
                text = substr(text, 1, RSTART - 1) link substr(text, RSTART + RLENGTH)
        }
        while (match(text, /`[^`]*`/))
                text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 1, RLENGTH - 2) "\\fP" \
                       substr(text, RSTART + RLENGTH)
        while (match(text, /\*\*[^*]*\*\*/))
                text = substr(text, 1, RSTART - 1) "\\fB" substr(text, RSTART + 2, RLENGTH - 4) "\\fP" \
                       substr(text, RSTART + RLENGTH)
        gsub(/\. /, ".\n", text)
        gsub(/\n[.']/, "\n\\\\\\&&", text)
        sub(/^[.']/, "\\\\\\&&", text)
        print text
}

function end_block() {
        if (state == "paragraph")
                write(text)
        else if (state == "item")
                write(text)
        else if (state == "code")
                print ".Ed"
        text = state = ""
}

function end_list() {
        end_block()
        if (list)
                print ".El"
        list = ""
}

/^# / { next }

/^## / {
        end_list()
        print ".Sh " toupper(substr($0, 4))
        next
}

/^### / {
        end_list()
        print ".Ss " substr($0, 5)
        next
}

/^\|[ -|:]*---/ { next }

/^\|/ {
        line = $0
        gsub(/\\\|/, "\001", line)
        columns = split(line, cell, / *\| */)
        if (list != "table") {
                end_list()
                list = "table" # the first row is its head
                print ".Bl -tag -width 4n"
                next
        }
        gsub(/`/, "", cell[2])
        gsub(/\001/, "|", cell[2])
        gsub(/-/, "\\-", cell[2])
        print ".It Li \"" cell[2] "\""
        text = ""
        for (i = 3; i < columns; i++)
                if (cell[i] != "")
                        text = text (text == "" ? "" : "; ") cell[i]
        gsub(/\001/, "|", text)
        write(text)
        text = ""
        next
}

/^- / {
        end_block()
        if (list != "bullets") {
                end_list()
                list = "bullets"
                print ".Bl -bullet -width 1n"
        }
        print ".It"
        state = "item"
        text = substr($0, 3)
        next
}

/^    / && state != "item" && state != "paragraph" {
        if (state != "code") {
                end_list()
                print ".Bd -literal -offset indent"
                state = "code"
        }
        line = substr($0, 5)
        gsub(/\\/, "\\e", line)
        sub(/^[.']/, "\\\\\\&&", line)
        print line
        next
}

/^$/ {
        if (state != "code")
                end_block()
        next
}

{
        if (state == "code")
                end_block()
        if (state == "") {
                end_list()
                print ".Pp"
                state = "paragraph"
        }
        sub(/^ +/, "")
        text = text (text == "" ? "" : " ") $0
}

END { end_list() }
