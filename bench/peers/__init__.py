"""Other software that does the same work; README.md says what each does less, and what more."""
