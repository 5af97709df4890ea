//! CGI, FastCGI and PHP.
