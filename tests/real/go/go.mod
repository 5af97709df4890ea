module tide

go 1.19
