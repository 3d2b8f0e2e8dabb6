"""One request's way: route, context, batch, pages."""
