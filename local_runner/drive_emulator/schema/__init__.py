"""Google's discovery documents, and requests and answers held against them."""
