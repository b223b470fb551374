# Puts the names of all settings in config/boris-ingestd.ini in place of @SETTINGS@ in the completion (the variable `script`).
/^\[/ { section = substr($0, 2, index($0, "]") - 2) }
/^;[a-z_]+ =/ { settings = settings (settings == "" ? "" : " ") section "." substr($1, 2) }
END {
        while ((getline line < script) > 0) {
                sub(/@SETTINGS@/, settings, line)
                print line
        }
}
