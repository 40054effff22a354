"""What is drawn: charts as declarations, by what they show, and how they look."""
