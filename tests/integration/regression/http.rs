//! HTTP itself: framing, fields, request-targets, answers to errors.
