# bash completion for boris-ingestd(8)

_boris_ingestd()
{
        local settings='@SETTINGS@'
        local delivery='--socket --tcp --retry --json'
        local entries='--code --account --field --from --to'
        local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=() word candidates='' i

        # the command, without options and their values
        for ((i = 1; i < COMP_CWORD; i++)); do
                word=${COMP_WORDS[i]}
                case $word in
                --status | --config-only | --yes | --latest | --explain | --json | --once | --against-database) ;;
                --set) # a value, which bash breaks at its '='
                        [ "${COMP_WORDS[i + 2]-}" != "=" ] || ((i += 2))
                        ((i++))
                        ;;
                -*) ((i++)) ;;
                *) words+=("$word") ;;
                esac
        done
        COMPREPLY=()

        case $previous in
        --config | --file | --socket)
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
                ;;
        --set)
                compopt -o nospace
                mapfile -t COMPREPLY < <(compgen -S = -W "$settings" -- "$cur")
                return
                ;;
        --platform) candidates="META GOOGLE_ADS TIKTOK" ;;
        --code) candidates="bad_json line_too_long unknown_field missing_field bad_type bad_value unknown_account ambiguous_account unknown_ad_object refused_by_database id_conflict not_permitted" ;;
        --by) candidates="account platform campaign object" ;;
        --format) candidates="table csv json" ;;
        --bucket) candidates="1h 1d 1w 1mon" ;;
        --id | --label | --field | --account | --object | --connection | --from | --to | --tcp | --retry | --from-line | --url | =) return ;;
        esac
        if [ -n "$candidates" ]; then
                mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$cur")
                return
        fi

        case ${words[*]} in
        "" | help) candidates="run migrate check validate connection send top rejects spool hierarchy report help --version --help" ;;
        migrate) candidates="--status" ;;
        check) candidates="--config-only --format" ;;
        connection) candidates="create update show reencrypt list delete" ;;
        "connection create") candidates="META GOOGLE_ADS TIKTOK --id --label --file" ;;
        "connection create "*) candidates="--id --label --file" ;;
        "connection update"*) candidates="--label --file" ;;
        "connection show"*) candidates="--to-terminal" ;;
        "connection list") candidates="--format" ;;
        "connection delete"*) candidates="--yes" ;;
        top) candidates="--url --once" ;;
        rejects) candidates="list replay" ;;
        "rejects list")
                candidates="$entries --format"
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                ;;
        "rejects list "*) candidates="$entries --format" ;;
        send | "rejects replay")
                candidates=$delivery
                [ "${words[*]}" = send ] && candidates="$delivery --from-line" || candidates="$delivery $entries"
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                ;;
        validate)
                candidates="--json --against-database"
                compopt -o filenames
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                ;;
        "validate "*) candidates="--json --against-database" ;;
        "send "*) candidates="$delivery --from-line" ;;
        "rejects replay "*) candidates="$delivery $entries" ;;
        spool) candidates="status verify export" ;;
        "spool status") candidates="--file --format" ;;
        "spool "*) candidates="--file" ;;
        hierarchy) candidates="--account --object --connection --platform --format" ;;
        report) candidates="--account --object --connection --platform --from --to --bucket --by --format --latest --explain" ;;
        esac
        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$candidates --config --set" -- "$cur")
} &&
        complete -F _boris_ingestd boris-ingestd
