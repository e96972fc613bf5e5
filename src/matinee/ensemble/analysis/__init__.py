"""What is known of an ensemble after the search: its members, their overlap, whom they serve, how far gains hold."""
