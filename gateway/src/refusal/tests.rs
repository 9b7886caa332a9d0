//! Every row of the table, and customised gateway responses.
