#!/bin/sh
# Says who was greeted; a CGI script in as few lines as there can be.
printf 'Content-Type: text/plain; charset=utf-8\n\n'
printf 'Hello from %s\n' "$SCRIPT_NAME"
printf 'Below it: %s\nQuery: %s\n' "$PATH_INFO" "$QUERY_STRING"
